/**
 * A WebSocket that proves it is alive and comes back. It stands alone: copy it. All times are milliseconds.
 *
 * Every `pingEvery` it sends the text `ping`. If nothing at all arrives within `pongWithin` of a ping, the line is
 * taken for dead, whatever the browser still believes, and is opened again after a delay that doubles, with jitter.
 */
export const TIMES = { pingEvery: 5_000, pongWithin: 3_000, openWithin: 4_000, firstDelay: 500, longestDelay: 10_000 };

/** The delay before attempt 0, 1, 2...: half of it is certain, half is chance, so that many pages do not return at once. */
export function backoff(attempt, { firstDelay, longestDelay } = TIMES) {
  const ceiling = Math.min(longestDelay, firstDelay * 2 ** attempt);
  return ceiling * (0.5 + Math.random() / 2);
}

/** With codes 3500-3999 and 4500-4999 the server says: do not come back. */
export const comesBack = (code) => code < 3500 || (code >= 4000 && code < 4500);

/**
 * Events: `state` (detail: {state, why}), `message` (detail: the data), `ping`, `pong` (detail: the round trip).
 * States: closed, connecting, open, waiting (for the next attempt).
 *
 * A class that extends it may say other things: `address`, `greet` and `read` are what a bare page does.
 */
export class Line extends EventTarget {
  state = "closed";
  attempt = 0; // since the last proof of life
  retryAt = 0;
  retryDelay = 0;
  pingSentAt = 0; // 0: no ping is under way
  nextPingAt = 0;
  #socket = null;
  #timer = 0; // the handshake's deadline, then the pong's, then the delay's: never two at once
  #pinger = 0;

  constructor(url, { times = TIMES, connect = (address) => new WebSocket(address) } = {}) {
    super();
    this.url = url;
    this.times = times;
    this.connect = connect;
    addEventListener("online", () => this.retryNow());
    document.addEventListener("visibilitychange", () => document.hidden || this.retryNow());
  }

  /** Where to connect. */
  address() {
    return this.url;
  }

  /** What to say first. A server that answers is there once it has: `ready` belongs into `read` then. */
  greet() {
    this.ready();
    this.#ping();
    this.#pinger = setInterval(() => this.#ping(), this.times.pingEvery);
  }

  /** What to do with what arrived. */
  read(data) {
    if (data === "pong") this.pong();
    else this.deliver(data);
  }

  open(url = this.url) {
    if (this.state !== "closed") return;
    this.url = url;
    this.attempt = 0;
    this.#dial();
  }

  close() {
    if (this.state === "closed") return;
    this.#letGo();
    this.#enter("closed", "closed here");
  }

  retryNow() {
    if (this.state === "waiting") this.#dial();
  }

  send(text) {
    if (this.state !== "open") return false;
    this.#socket.send(text);
    return true;
  }

  // -- for classes that extend it --------------------------------------------------------------------------------

  write(text) {
    this.#socket.send(text);
  }

  ready() {
    clearTimeout(this.#timer);
    this.#enter("open");
  }

  deliver(data) {
    this.#emit("message", data);
  }

  /** A heartbeat was answered: the server's to our ping, or ours to the server's, which has no round trip. */
  pong() {
    const roundTrip = this.pingSentAt ? performance.now() - this.pingSentAt : undefined;
    this.pingSentAt = 0;
    this.#emit("pong", roundTrip);
  }

  /** Give up unless something arrives within a time. */
  expect(within, what) {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.#giveUp(what), within);
  }

  // -- one attempt after the other -------------------------------------------------------------------------------

  #dial() {
    clearTimeout(this.#timer);
    this.#enter("connecting");
    try {
      this.#socket = this.connect(this.address());
    } catch (error) {
      return this.#enter("closed", error.message); // not a WebSocket URL: trying again cannot help
    }
    this.#socket.onopen = () => this.greet();
    this.#socket.onmessage = (event) => this.#arrived(event.data);
    this.#socket.onclose = (event) => this.#lost(event.code, event.reason);
    this.#timer = setTimeout(() => this.#giveUp("no answer to the handshake"), this.times.openWithin);
  }

  // Sent even while messages arrive: they prove the server to us, the ping proves us to the server.
  #ping() {
    this.pingSentAt = performance.now();
    this.nextPingAt = this.pingSentAt + this.times.pingEvery;
    this.#timer = setTimeout(() => this.#giveUp(`no pong within ${this.times.pongWithin / 1000} s`), this.times.pongWithin);
    this.#socket.send("ping");
    this.#emit("ping");
  }

  #arrived(data) {
    clearTimeout(this.#timer);
    this.read(data);
    this.attempt = 0; // only now: a server that accepts and closes at once must not be asked in a tight loop
  }

  #lost(code, reason) {
    this.#letGo();
    const why = `${code}${reason ? ` ${reason}` : ""}`;
    if (comesBack(code)) this.#wait(why);
    else this.#enter("closed", `${why}: the server asks us to stay away`);
  }

  // A dead peer answers no closing handshake, so do not wait for `onclose`: leave the socket and go on.
  #giveUp(why) {
    this.#letGo();
    this.#wait(why);
  }

  #wait(why) {
    this.retryDelay = backoff(this.attempt, this.times);
    this.attempt += 1;
    this.retryAt = performance.now() + this.retryDelay;
    this.#enter("waiting", why);
    this.#timer = setTimeout(() => this.#dial(), this.retryDelay);
  }

  #letGo() {
    clearTimeout(this.#timer);
    clearInterval(this.#pinger);
    this.pingSentAt = 0;
    if (!this.#socket) return;
    this.#socket.onopen = this.#socket.onmessage = this.#socket.onclose = null;
    this.#socket.close(1000, "closed by the page");
    this.#socket = null;
  }

  #enter(state, why = "") {
    this.state = state;
    this.#emit("state", { state, why });
  }

  #emit(type, detail) {
    this.dispatchEvent(new CustomEvent(type, { detail }));
  }
}
