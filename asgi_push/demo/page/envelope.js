/**
 * A WebSocket that loses nothing: with `?since=` in its address each message comes as {channel, id, data}. Whoever comes
 * back names the last id of each channel, and gets what was published after it; the heartbeat is that of a bare page.
 */
import { Line } from "./client.js";

export class EnvelopeLine extends Line {
  #ids = {}; // channel -> the last id

  open(url) {
    if (this.state === "closed") this.#ids = {};
    super.open(url);
  }

  address() {
    const since = Object.keys(this.#ids).length ? JSON.stringify(this.#ids) : "";
    return this.url + encodeURIComponent(since);
  }

  read(data) {
    if (data === "pong") return this.pong();
    const { type, ids, channel, id, data: published } = JSON.parse(data);
    if (type === "welcome") this.#ids = { ...ids }; // up to here everything has come
    else if (published !== undefined) {
      if (channel) this.#ids[channel] = id;
      this.deliver(JSON.stringify(published));
    }
  }
}
