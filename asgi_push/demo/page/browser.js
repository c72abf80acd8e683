/** The left panel: one browser, as user 11, on a line that can be cut; and three more users beside it. */
import { Line } from "./client.js";
import { $, Log, element, plural, seconds } from "./dom.js";
import { Network } from "./network.js";

const origin = `${location.protocol === "https:" ? "wss" : "ws"}://${location.host}`;
const address = (user) => `${origin}/websocket/${user}`;
const STATES = { closed: "Closed", connecting: "Connecting", open: "Open", waiting: "Reconnecting" };
const NEIGHBOURS = ["12", "13", "14"];

/** Sessions that this page opened, by id: "held", or "lost" while only the server still believes in them. */
export const own = new Map();

const network = new Network();
const line = new Line(address("11"), { connect: network.connect });
const log = new Log($("log"));
let beats = null; // the log's current row of heartbeats: a run of them is one row

const shown = (data) => (typeof data === "string" ? data : `(binary, ${data.size} bytes)`);

function note(kind, text) {
  beats = null;
  log.add(kind, text);
}

function parsed(data) {
  try {
    return Object(JSON.parse(data));
  } catch {
    return {};
  }
}

/** The application's first message tells a page which session it is. Returns whether `data` is that message. */
function greeted(data, holder) {
  const { session } = parsed(data);
  if (typeof session !== "string") return false;
  holder.session = session;
  own.set(session, "held");
  return true;
}

function lose(holder) {
  if (own.has(holder.session)) own.set(holder.session, "lost");
}

// -- the wire -----------------------------------------------------------------------------------------------------
const CROSSING = 420; // ms: slow enough to be seen; the real round trip is in the caption
let lastPulseEnds = 0;

function pulse(kind, towards) {
  if (matchMedia("(prefers-reduced-motion: reduce)").matches || document.hidden) return;
  const dot = $("track").appendChild(element("span", { className: `pulse ${kind}` }));
  const [from, to] = towards === "server" ? [0, network.cut ? 44 : 100] : [100, 0];
  const start = Math.max(performance.now(), towards === "page" && kind === "beat" ? lastPulseEnds : 0);
  if (kind === "beat") lastPulseEnds = start + CROSSING;
  const frames = [{ left: `${from}%`, opacity: 1 }, { left: `${to}%`, opacity: 1, offset: 0.85 }, { left: `${to}%`, opacity: 0 }];
  const motion = dot.animate(frames, { duration: CROSSING, delay: start - performance.now(), fill: "both", easing: "ease-in-out" });
  motion.finished.finally(() => dot.remove());
}

// -- what the line reports ----------------------------------------------------------------------------------------
const EXPLAIN = {
  closed: (why) => note("note", `Closed (${why})`),
  connecting: () => line.attempt || note("note", `Opening ${line.url}`),
  open: () => note("good", line.attempt ? `Open, at attempt ${line.attempt}` : "Open"),
  waiting: (why) => {
    const what = line.attempt === 1 ? `Lost: ${why}` : `Attempt ${line.attempt - 1}: ${why}`;
    note("bad", `${what}. Next in ${seconds(line.retryDelay / 1000)}`);
  },
};

line.addEventListener("state", ({ detail: { state, why } }) => {
  EXPLAIN[state](why);
  if (state !== "open") lose(line);
  render();
});

line.addEventListener("message", ({ detail }) => {
  greeted(detail, line);
  note("in", shown(detail));
  pulse("message", "page");
});

line.addEventListener("ping", () => pulse("beat", "server"));

line.addEventListener("pong", ({ detail: roundTrip }) => {
  if (!beats) beats = { row: log.add("beat", ""), count: 0 };
  beats.count += 1;
  beats.row.setAttribute("aria-hidden", "true"); // a screen reader need not hear each one
  beats.row.lastElementChild.textContent = `ping, pong in ${roundTrip.toFixed(1)} ms` + (beats.count > 1 ? `  ×${beats.count}` : "");
  line.roundTrip = roundTrip;
  pulse("beat", "page");
  caption();
});

// -- what is shown ------------------------------------------------------------------------------------------------
const CAPTIONS = {
  closed: () => "No connection",
  connecting: () => "Waiting for the handshake",
  waiting: () => "No connection",
  open: () => {
    const now = performance.now();
    if (line.pingSentAt && now - line.pingSentAt > 200) return `Ping sent, no pong for ${seconds((now - line.pingSentAt) / 1000)}`;
    if (line.roundTrip === undefined) return "Ping sent";
    return `Pong in ${line.roundTrip.toFixed(1)} ms, next ping in ${Math.max(0, Math.ceil((line.nextPingAt - now) / 1000))} s`;
  },
};

function caption() {
  $("caption").textContent = CAPTIONS[line.state]();
}

function countdown() {
  const left = Math.max(0, line.retryAt - performance.now());
  $("retry-text").textContent = `Attempt ${line.attempt} in ${seconds(left / 1000)}`;
  $("retry-bar").style.transform = `scaleX(${left / line.retryDelay})`;
}

function render() {
  const { state } = line;
  $("line-state").textContent = STATES[state];
  $("line-state").dataset.state = state;
  $("wire").dataset.state = state;
  $("wire").dataset.cut = network.cut;
  $("open").disabled = $("url").readOnly = state !== "closed";
  $("close").disabled = state === "closed";
  $("cut").setAttribute("aria-pressed", network.cut);
  $("cut").textContent = network.cut ? "Mend the line" : "Cut the line";
  $("retry").hidden = state !== "waiting";
  $("beat").hidden = state === "waiting";
  if (state === "waiting") countdown();
  $("say-send").disabled = state !== "open";
  caption();
}

setInterval(() => {
  if (line.state === "waiting") countdown();
  else if (line.state === "open") caption();
}, 100);

// -- what a person does -------------------------------------------------------------------------------------------
$("url").value = line.url;

$("line-form").addEventListener("submit", (event) => {
  event.preventDefault();
  line.open($("url").value.trim());
  if (line.state !== "closed") $("close").focus();
});

$("close").addEventListener("click", () => {
  line.close();
  $("open").focus();
});

$("cut").addEventListener("click", () => {
  if (network.cut) {
    note("note", "The line is mended");
    network.mend();
  } else {
    note("bad", "The line is cut. Neither end knows yet: only a missing pong will tell");
    network.pull();
  }
  render();
});

$("retry-now").addEventListener("click", () => line.retryNow());

$("say").addEventListener("submit", (event) => {
  event.preventDefault();
  const text = $("say-text").value;
  if (!text || !line.send(text)) return;
  note("out", text);
  pulse("message", "server");
  $("say-text").value = "";
});

// -- three more users ---------------------------------------------------------------------------------------------
function neighbour(user) {
  const last = element("p", { className: "last", text: "Nothing yet" });
  const count = element("span", { className: "count", text: "0 messages" });
  const state = element("span", { className: "dot" });
  const card = element("li", {}, element("p", { className: "who" }, state, element("b", { text: user }), count), last);
  const other = new Line(address(user));
  let received = 0;
  other.addEventListener("state", ({ detail }) => {
    state.dataset.state = detail.state;
    state.title = STATES[detail.state];
    if (detail.state !== "open") lose(other);
  });
  other.addEventListener("message", ({ detail }) => {
    if (greeted(detail, other)) return;
    count.textContent = plural((received += 1), "message");
    last.textContent = parsed(detail).message ?? shown(detail);
    card.animate([{ borderColor: "var(--accent)" }, {}], { duration: 900 });
  });
  card.dataset.user = user;
  return { card, line: other };
}

const neighbours = NEIGHBOURS.map(neighbour);

$("neighbours-toggle").addEventListener("click", () => {
  const opening = $("neighbours").hidden;
  for (const { line: other } of neighbours) opening ? other.open() : other.close();
  $("neighbours").hidden = !opening;
  $("neighbours-toggle").textContent = `${opening ? "Close" : "Open"} users 12, 13 and 14`;
  $("neighbours-toggle").setAttribute("aria-expanded", opening);
});

$("neighbours").append(...neighbours.map(({ card }) => card));
render();
