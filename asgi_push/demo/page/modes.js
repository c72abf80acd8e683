/** The ways in which a page can listen, each with the code that does it. */
import { Line } from "./client.js";
import { EnvelopeLine } from "./envelope.js";
import { SdkLine } from "./sdk.js";
import { StreamLine } from "./stream.js";

const origin = `${location.protocol === "https:" ? "wss" : "ws"}://${location.host}`;

export const address = (user) => `${origin}/websocket/${user}`;

export const MODES = {
  bare: {
    about: "A bare WebSocket with a heartbeat. What is pushed while it is down is lost: a page asks your application for what is so now.",
    url: address("11"),
    field: "WebSocket address",
    file: "client.js",
    make: (network, url) => new Line(url, { connect: network.connect }),
  },
  envelope: {
    about: "A WebSocket with ?since= in its address: each message has an id, and whoever comes back gets what it missed. No library.",
    url: `${address("11")}?since=`,
    field: "WebSocket address",
    file: "envelope.js",
    make: (network, url) => new EnvelopeLine(url, { connect: network.connect }),
  },
  sdk: {
    about: "The protocol of the client SDKs. A client that comes back says what it had last, and gets what it missed.",
    url: `${origin}/connection/websocket?user=11`,
    field: "WebSocket address",
    file: "sdk.js",
    make: (network, url) => new SdkLine(url, { connect: network.connect }),
  },
  stream: {
    about: "Server-sent events over plain HTTP. The browser comes back by itself and says what it had last, and gets what it missed.",
    url: `${location.origin}/push/events?user=11`,
    field: "Address of the stream",
    file: "stream.js",
    make: (network, url) => new StreamLine(url, { connect: network.listen }),
  },
};
