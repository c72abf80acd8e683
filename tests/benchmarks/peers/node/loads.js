"use strict";

// The loads of loads.py for servers on Node, driven over a socket with one JSON object a line.

const net = require("node:net");
const readline = require("node:readline");
const timers = require("node:timers/promises");

const FIRST = 1_000_000_000; // as in publication.py

// The clock of time.monotonic(), in seconds.
const now = () => Number(process.hrtime.bigint()) / 1e9;

const order = (seq, text) => ({
  seq: FIRST + seq,
  type: "order",
  order: 4711,
  status: "shipped",
  total: 129.9,
  text,
});

const BARE = JSON.stringify(order(0, "")).length;

const publication = (seq, size) => order(seq, "x".repeat(size - BARE));

async function burst(publish, { first, count, size, tick, seconds }) {
  const started = now();
  let seq = first;
  while (seq < first + count && now() < started + seconds) {
    for (const end = seq + tick; seq < end; seq++) publish(publication(seq, size));
    await timers.setImmediate();
  }
  return { started, published: seq - first };
}

async function paced(publish, { first, count, size, rate }) {
  const started = now();
  const times = [];
  for (let place = 0; place < count; place++) {
    await timers.setTimeout(Math.max(0, started + place / rate - now()) * 1000);
    if (now() > started + (1.5 * count) / rate) break;
    times.push(now());
    publish(publication(first + place, size));
  }
  return { started, published: times.length, times };
}

const LOADS = { burst, paced };

// Do what the load client says, with a server that listens and a function that publishes to everybody.
module.exports = (server, publish) => {
  const control = new net.Socket({ fd: Number(process.argv[2]) });
  const reply = (values) => control.write(`${JSON.stringify(values)}\n`);
  server.listen(0, "127.0.0.1", 2048, () => reply({ port: server.address().port }));
  const lines = readline.createInterface({ input: control });
  lines.on("line", async (line) => {
    const command = JSON.parse(line);
    reply(await LOADS[command.do](publish, command));
  });
  lines.on("close", () => process.exit());
};
