/** The left panel: one browser, as user 11, which listens in one of several ways on a line that can be cut. */
import { TIMES } from "./client.js";
import { showCode } from "./code.js";
import { $, Log, element, plural, seconds } from "./dom.js";
import { MODES } from "./modes.js";
import "./neighbours.js";
import { Network } from "./network.js";
import { Outage } from "./outage.js";
import { greeted, lose, parsed } from "./sessions.js";

const STATES = { closed: "Closed", connecting: "Connecting", open: "Open", waiting: "Lost, trying again" };

const network = new Network();
export const outage = new Outage();
const log = new Log($("log"));
let line = null;
let beats = null; // the log's current row of heartbeats: a run of them is one row

const shown = (data) => (typeof data === "string" ? data : `(binary, ${data.size} bytes)`);

function note(kind, text) {
  beats = null;
  log.add(kind, text);
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
    note("bad", line.retryDelay ? `${what}. Next in ${seconds(line.retryDelay / 1000)}` : `${what}. The browser tries again`);
  },
};

function onState({ detail: { state, why } }) {
  EXPLAIN[state](why);
  if (state !== "open") lose(line);
  if (state === "waiting") outage.begin(true);
  if (state === "open" && !network.cut) outage.end();
  render();
}

function onMessage({ detail }) {
  greeted(detail, line);
  outage.arrived(parsed(detail).id);
  note("in", shown(detail));
  pulse("message", "page");
}

function onPong({ detail: roundTrip }) {
  if (!beats) beats = { row: log.add("beat", ""), count: 0 };
  beats.count += 1;
  beats.row.setAttribute("aria-hidden", "true"); // a screen reader need not hear each one
  const what = roundTrip === undefined ? "the server's ping, answered" : `ping, pong in ${roundTrip.toFixed(1)} ms`;
  beats.row.lastElementChild.textContent = what + (beats.count > 1 ? `  ×${beats.count}` : "");
  line.roundTrip = roundTrip;
  pulse("beat", "page");
  caption();
}

// -- what was lost and what came again ----------------------------------------------------------------------------
function verdict(kind, text) {
  $("verdict").dataset.kind = kind;
  $("verdict").textContent = text;
}

outage.addEventListener("down", ({ detail: pushed }) => verdict("down", pushed ? `${pushed} pushed meanwhile` : "Push something now"));

outage.addEventListener("over", ({ detail: { recovered, lost, noticed } }) => {
  const parts = [recovered && `${recovered} ${noticed ? "recovered" : "arrived late"}`, lost && `${lost} lost`].filter(Boolean);
  const text = parts.join(", ") || "Nothing was pushed meanwhile";
  verdict(lost ? "bad" : recovered ? "good" : "", text);
  note(lost ? "bad" : recovered ? "good" : "note", text + (recovered && !noticed ? ": the line was mended before anybody noticed" : ""));
});

// -- what is shown ------------------------------------------------------------------------------------------------
const CAPTIONS = {
  closed: () => "No connection",
  connecting: () => "Waiting for the server",
  waiting: () => "The browser tries again by itself",
  open: () => {
    if (network.cut && !line.pingSentAt) return "Cut. The page does not know yet";
    if (line.nextPingAt === undefined) return "Open";
    const now = performance.now();
    if (line.pingSentAt && now - line.pingSentAt > 200) return `Ping sent, no pong for ${seconds((now - line.pingSentAt) / 1000)}`;
    if (line.roundTrip === undefined) return line.nextPingAt ? "Ping sent" : "Open. The server pings";
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
  const counts = state === "waiting" && line.retryDelay > 0;
  $("line-state").textContent = STATES[state];
  $("line-state").dataset.state = state;
  $("wire").dataset.state = state;
  $("wire").dataset.cut = network.cut;
  $("open").disabled = $("url").readOnly = state !== "closed";
  $("close").disabled = state === "closed";
  $("cut").setAttribute("aria-pressed", network.cut);
  $("cut").textContent = network.cut ? "Mend the line" : "Cut the line";
  $("retry").hidden = !counts;
  $("beat").hidden = counts;
  if (counts) countdown();
  $("say-send").disabled = $("say-text").disabled = state !== "open" || line.nextPingAt === undefined;
  caption();
}

setInterval(() => {
  if (line.state === "waiting" && line.retryDelay) countdown();
  else if (line.state === "open") caption();
}, 100);

// -- what a person does -------------------------------------------------------------------------------------------
function listen(name) {
  const mode = MODES[name];
  line?.close();
  line = mode.make(network, mode.url);
  line.addEventListener("state", onState);
  line.addEventListener("message", onMessage);
  line.addEventListener("ping", () => pulse("beat", "server"));
  line.addEventListener("pong", onPong);
  $("about").textContent = mode.about;
  $("url").value = mode.url;
  $("url-label").textContent = mode.field;
  $("say-text").placeholder = name === "stream" ? "A stream goes one way: a page sends by fetch" : "Say something to the server";
  $("rhythm").textContent = name === "stream" ? "" : `ping every ${TIMES.pingEvery / 1000} s, answer due in ${TIMES.pongWithin / 1000} s`;
  verdict("", "");
  showCode(name, mode);
  line.open();
}

for (const radio of document.querySelectorAll("input[name=mode]")) radio.addEventListener("change", () => listen(radio.value));

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
    line.retryNow();
    if (line.state === "open") outage.end();
  } else {
    note("bad", "The line is cut. Neither end knows yet");
    network.pull();
    outage.begin(false);
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

$("extra").open = !matchMedia("(max-width: 640px)").matches; // there the log stands right above the push

listen(document.querySelector("input[name=mode]:checked").value);
