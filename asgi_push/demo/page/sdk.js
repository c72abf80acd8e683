/**
 * What a client SDK says, as far as this page needs it: each subscription has a position, and who comes back tells the
 * server the last one it has. In a page of your own the SDK does all of this:
 *
 *     new Centrifuge("wss://example.org/connection/websocket").connect();
 */
import { Line } from "./client.js";

export class SdkLine extends Line {
  #positions = {}; // channel -> {offset, epoch}

  open(url) {
    if (this.state === "closed") this.#positions = {};
    super.open(url);
  }

  greet() {
    const known = Object.entries(this.#positions);
    const subs = Object.fromEntries(known.map(([channel, position]) => [channel, { recover: true, ...position }]));
    this.write(JSON.stringify({ id: 1, connect: { subs } }));
  }

  send(text) {
    return super.send(JSON.stringify({ send: { data: text } }));
  }

  read(data) {
    for (const line of data.split("\n")) this.#reply(JSON.parse(line));
    const { pingEvery, pongWithin } = this.times;
    this.expect(pingEvery + pongWithin, `no ping within ${(pingEvery + pongWithin) / 1000} s`);
  }

  #reply({ connect, push, error }) {
    if (connect) this.#connected(connect.subs ?? {});
    else if (push?.pub) this.#publication(push.channel, push.pub);
    else if (push?.message) this.deliver(JSON.stringify(push.message.data));
    else if (!push && !error) this.#ping();
  }

  #connected(subs) {
    for (const [channel, { offset = 0, epoch, publications = [] }] of Object.entries(subs)) {
      this.#positions[channel] = { offset, epoch };
      for (const missed of publications) this.#publication(channel, missed);
    }
    this.ready();
  }

  #publication(channel, { data, offset }) {
    if (offset) this.#positions[channel].offset = offset;
    this.deliver(JSON.stringify(data));
  }

  #ping() {
    this.write("{}");
    this.pong();
  }
}
