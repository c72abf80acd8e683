/**
 * Server-sent events. The browser itself comes back, and tells the server the id of the last event that it has; so a
 * page needs no more than `new EventSource("/push/events")` and `onmessage`. This class makes it look like a `Line`.
 */
export class StreamLine extends EventTarget {
  state = "closed";
  attempt = 0;
  #source = null;

  constructor(url, { connect = (address) => new EventSource(address) } = {}) {
    super();
    this.url = url;
    this.connect = connect;
  }

  open(url = this.url) {
    if (this.state !== "closed") return;
    this.url = url;
    this.attempt = 0;
    this.#enter("connecting");
    this.#source = this.connect(url);
    this.#source.onopen = () => this.#enter("open");
    this.#source.onmessage = (event) => this.dispatchEvent(new CustomEvent("message", { detail: event.data }));
    this.#source.onerror = () => this.#lost();
    this.#source.addEventListener("disconnect", (event) => this.#told(JSON.parse(event.data)));
  }

  close() {
    if (this.state !== "closed") this.#leave("closed here");
  }

  retryNow() {} // the browser says when

  send() {
    return false; // a stream goes one way; a page sends by fetch
  }

  #lost() {
    if (this.#source.readyState === EventSource.CLOSED) return this.#leave("the browser has given up");
    this.attempt += 1;
    this.#enter("waiting", this.attempt === 1 ? "the stream broke" : "no answer");
  }

  #told({ code, reason }) {
    if (code >= 3500 && code < 4000) this.#leave(`${code} ${reason}: the server asks us to stay away`);
  }

  #leave(why) {
    this.#source.close();
    this.#enter("closed", why);
  }

  #enter(state, why = "") {
    this.state = state;
    this.dispatchEvent(new CustomEvent("state", { detail: { state, why } }));
    if (state === "open") this.attempt = 0;
  }
}
