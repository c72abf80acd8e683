/** What became of the messages that were pushed while the line was down: each has an id. */
const SETTLES = 500; // ms after the line is up again, in which what was missed comes

export class Outage extends EventTarget {
  #pushed = new Set(); // since the line went down
  #arrived = new Set(); // all that ever arrived
  #timer = 0;
  down = false;
  noticed = false; // the page knew of it, and came back

  /** The line is cut, or the page has lost it. */
  begin(noticed) {
    clearTimeout(this.#timer);
    if (!this.down) this.#pushed.clear();
    this.noticed = (this.down && this.noticed) || noticed;
    this.down = true;
    this.#tell();
  }

  /** The line serves again. Messages that were missed may still be on their way. */
  end() {
    if (!this.down) return;
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.#over(), SETTLES);
  }

  pushed(id) {
    if (!this.down) return;
    this.#pushed.add(id);
    this.#tell();
  }

  arrived(id) {
    this.#arrived.add(id);
  }

  #over() {
    this.down = false;
    const all = [...this.#pushed];
    const recovered = all.filter((id) => this.#arrived.has(id)).length;
    const { noticed } = this;
    this.noticed = false;
    this.dispatchEvent(new CustomEvent("over", { detail: { recovered, lost: all.length - recovered, noticed } }));
  }

  #tell() {
    this.dispatchEvent(new CustomEvent("down", { detail: this.#pushed.size }));
  }
}
