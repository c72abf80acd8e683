/** The WebSocket to the server: what is pushed, what is asked for, and what is done. It comes back by itself. */
const PING = 20_000; // between two heartbeats; whatever comes proves life
const SILENT = 10_000; // after so long without a word the line is taken for dead: the server says something every second
const FIRST_WAIT = 500;
const MAX_WAIT = 8_000;

export class Line extends EventTarget {
  #socket = null;
  #view = {};
  #number = 0;
  #answers = new Map();
  #wait = FIRST_WAIT;
  #timers = [];

  open() {
    const url = new URL("console/live", location.href);
    url.protocol = url.protocol === "https:" ? "wss:" : "ws:";
    const socket = (this.#socket = new WebSocket(url));
    let opened = false;
    this.#tell("connecting");
    socket.onopen = () => {
      opened = true;
      this.#send(this.#view);
      this.#timers = [setInterval(() => socket.send("ping"), PING), setTimeout(() => socket.close(), SILENT)];
    };
    socket.onmessage = ({ data }) => {
      clearTimeout(this.#timers[1]);
      this.#timers[1] = setTimeout(() => socket.close(), SILENT);
      if (data !== "pong") this.#take(JSON.parse(data));
    };
    socket.onclose = ({ code }) => this.#lost(code, opened);
  }

  #take(message) {
    this.#wait = FIRST_WAIT;
    this.#tell("live");
    const { answer } = message;
    if (!answer) return this.dispatchEvent(new CustomEvent("state", { detail: message }));
    const settle = this.#answers.get(answer.number);
    this.#answers.delete(answer.number);
    settle?.(answer);
  }

  async #lost(code, opened) {
    this.#timers.forEach(clearTimeout); // which clears an interval as well
    for (const settle of this.#answers.values()) settle({ failed: "The line to the server broke: it may have been done, or not" });
    this.#answers.clear();
    const wait = this.#wait * (0.75 + Math.random() / 2);
    this.#wait = Math.min(this.#wait * 2, MAX_WAIT);
    this.#tell("lost", wait);
    if ((!opened || code === 3005) && (await this.#loggedOut())) return location.reload();
    setTimeout(() => this.open(), wait);
  }

  async #loggedOut() {
    try {
      return (await (await fetch(location.href, { cache: "no-store" })).text()).includes('id="login"');
    } catch {
      return false; // it cannot be reached
    }
  }

  #tell(state, wait = 0) {
    this.dispatchEvent(new CustomEvent("line", { detail: { state, wait } }));
  }

  #send(message) {
    if (this.#socket?.readyState === WebSocket.OPEN) this.#socket.send(JSON.stringify(message));
  }

  /** Look at something; what comes is about that from then on, on a new line too. */
  look(view) {
    this.#view = view;
    this.#send(view);
  }

  /** Do something; resolves with what was done, rejects with why not. */
  act(name, fields) {
    return new Promise((resolve, reject) => {
      if (this.#socket?.readyState !== WebSocket.OPEN) return reject(new Error("There is no line to the server"));
      const number = ++this.#number;
      this.#answers.set(number, ({ done, failed }) => (failed ? reject(new Error(failed)) : resolve(done)));
      this.#send({ do: name, number, ...fields });
    });
  }
}
