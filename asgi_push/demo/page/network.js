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

  listen = (url) => {
    const end = new StreamEnd(this, url);
    this.#ends.add(end);
    return end;
  };

  forget(end) {
    this.#ends.delete(end);
  }

  pull() {
    this.cut = true;
    for (const end of this.#ends) end.cut?.();
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

const NOTICED_AFTER = 4_000; // ms: when a browser learns that its stream is dead; without a heartbeat it may take minutes
const AGAIN_AFTER = 2_000; // ms between its attempts

/** Looks like an EventSource, and comes back as a browser's does: with the id of the last event that it has. */
class StreamEnd extends EventTarget {
  onopen = null;
  onmessage = null;
  onerror = null;
  readyState = EventSource.CONNECTING;
  #last = "";
  #held = [];
  #timer = 0;

  constructor(network, url) {
    super();
    this.network = network;
    this.url = url;
    this.#dial();
  }

  cut() {
    this.#timer = setTimeout(() => this.#broke(), NOTICED_AFTER);
  }

  mended() {
    clearTimeout(this.#timer);
    if (!this.source) return this.#dial();
    for (const step of this.#held.splice(0)) step();
  }

  close() {
    clearTimeout(this.#timer);
    this.network.forget(this);
    this.source?.close();
    this.readyState = EventSource.CLOSED;
  }

  #dial() {
    if (this.network.cut) {
      this.#timer = setTimeout(() => this.#broke(), REFUSED_AFTER);
      return;
    }
    const again = this.#last && `${this.url.includes("?") ? "&" : "?"}lastEventId=${encodeURIComponent(this.#last)}`;
    this.source = new EventSource(this.url + again);
    this.source.onopen = () => this.#pass(() => this.#opened());
    this.source.onerror = () => this.#pass(() => this.#failed());
    this.source.onmessage = (event) => this.#pass(() => this.#arrived(event));
    this.source.addEventListener("disconnect", ({ data }) => this.#pass(() => this.dispatchEvent(new MessageEvent("disconnect", { data }))));
  }

  #opened() {
    this.readyState = EventSource.OPEN;
    this.onopen?.();
  }

  #arrived(event) {
    this.#last = event.lastEventId;
    this.onmessage?.(event);
  }

  #failed() {
    this.readyState = this.source.readyState;
    this.onerror?.();
  }

  #broke() {
    this.source?.close();
    this.source = null;
    this.#held = [];
    this.readyState = EventSource.CONNECTING;
    this.onerror?.();
    this.#timer = setTimeout(() => this.#dial(), AGAIN_AFTER);
  }

  #pass(step) {
    if (this.network.cut) this.#held.push(step);
    else step();
  }
}
