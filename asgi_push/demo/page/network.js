/**
 * A network whose cable can be pulled. What it hands out looks like a WebSocket, and behaves as one does over TCP:
 * while the line is cut nothing passes in either direction and neither end is told. If it is mended in time, what
 * waited arrives; a socket given up meanwhile stays open on the server, which goes on sending into it.
 */
const REFUSED_AFTER = 300; // ms: how long a browser without a network takes to say so

export class Network {
  cut = false;
  #ends = new Set();

  connect = (url) => {
    const end = new End(this, url);
    this.#ends.add(end);
    return end;
  };

  forget(end) {
    this.#ends.delete(end);
  }

  pull() {
    this.cut = true;
  }

  mend() {
    this.cut = false;
    for (const end of this.#ends) end.mended();
  }
}

class End {
  onopen = null;
  onmessage = null;
  onclose = null;
  #waiting = []; // what the cut holds back, in order
  #abandoned = false;

  constructor(network, url) {
    this.network = network;
    if (network.cut) {
      new URL(url); // a bad address is refused even without a network
      setTimeout(() => this.onclose?.({ code: 1006, reason: "the line is cut" }), REFUSED_AFTER);
      return;
    }
    this.socket = new WebSocket(url);
    this.socket.onopen = () => this.#pass(() => this.onopen?.());
    this.socket.onmessage = (event) => this.#pass(() => this.onmessage?.(event));
    this.socket.onclose = (event) => this.#pass(() => this.#closed(event));
  }

  send(data) {
    this.#pass(() => this.socket.readyState === WebSocket.OPEN && this.socket.send(data));
  }

  close() {
    this.#abandoned = true;
    this.#waiting = [];
    if (!this.network.cut) this.#hangUp();
  }

  mended() {
    if (this.#abandoned) return this.#hangUp();
    for (const step of this.#waiting.splice(0)) step();
  }

  #pass(step) {
    if (this.network.cut) this.#waiting.push(step);
    else step();
  }

  #closed(event) {
    this.network.forget(this);
    this.onclose?.(event);
  }

  #hangUp() {
    this.network.forget(this);
    this.socket?.close(1000, "closed by the page");
  }
}
