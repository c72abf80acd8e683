/** The console: what the server pushes goes to its part of the page, what is typed goes to its part of the server. */
import { Charts } from "./charts.js";
import { $, clock, count, duration, put } from "./dom.js";
import { Drawers } from "./drawers.js";
import { Line } from "./line.js";
import { Lists } from "./lists.js";

const line = new Line();
const charts = new Charts($("charts"));
const lists = new Lists();
const drawers = new Drawers(lists, line);
let hub = null;
let since = null; // when the broker went away

const STATES = { connecting: "Connecting", live: "Live", lost: "Reconnecting" };

line.addEventListener("line", ({ detail: { state } }) => {
  if (state === "connecting" && hub) return; // it reconnects; the word stays until it has
  $("line").dataset.state = state;
  put($("line"), STATES[state]);
  $("main").dataset.stale = state !== "live";
});

line.addEventListener("state", ({ detail: state }) => {
  if (state.process) return meet(state.process);
  put($("fact-uptime"), duration(state.uptime));
  health(state);
  charts.add(state.samples);
  put($("count-sessions"), count(state.count));
  lists.update(state[state.view.list], state.view);
  if (state.session) drawers.showSession(state.session);
  if (state.channel) drawers.showChannel(state.channel);
});

/** Another process than before may be at the other end: nothing of the old one is shown as the new one's. */
function meet(process) {
  if (hub && hub !== process.hub) drawers.say("note", `Now looking at another process: pid ${process.pid} on ${process.host}`);
  if (hub !== process.hub) charts.reset(process);
  lists.paths = process.paths;
  hub = process.hub;
  put($("fact-process"), `${process.pid} on ${process.host}`);
  $("fact-process").title = `hub ${process.hub}`;
  put($("fact-version"), `${process.version || "sources"}, Python ${process.python}`);
  $("fact-broker").dataset.name = process.broker;
  const alone = process.broker === "memory";
  put($("scope"), `You look at one process. ${alone ? "Its broker is its own memory: other processes, if there are any, know nothing of these sessions." : "Others that share its broker have sessions and numbers of their own; publishing and disconnecting users reaches all of them."}`);
}

function health({ accepting, broker_up: up }) {
  const name = $("fact-broker").dataset.name;
  since = up ? null : (since ?? Date.now() / 1000);
  put($("fact-broker"), up ? name : `${name}, unreachable`);
  $("fact-broker").dataset.state = up ? "good" : "bad";
  put($("fact-accepting"), accepting ? "accepted" : "refused");
  $("fact-accepting").dataset.state = accepting ? "good" : "warn";
  $("drain-open").disabled = !accepting;
  $("banner").hidden = up && accepting;
  $("banner").dataset.kind = up ? "warn" : "bad";
  put($("banner"), up ? "This process is draining: it takes no new sessions, and sends those that it has to other processes." : `The broker ${name} cannot be reached since ${clock(since ?? 0)}. Publications of other processes do not arrive, and publishing fails.`);
}

lists.addEventListener("change", () => line.look(lists.view));
lists.addEventListener("open", ({ detail: { list, key } }) => (list === "sessions" ? drawers.openSession(key) : drawers.openChannel(key)));
lists.addEventListener("disconnect", ({ detail: { key } }) => drawers.act("disconnect", { session: key }));
lists.addEventListener("publish", ({ detail: { key } }) => drawers.publish(key));

// -- the header ---------------------------------------------------------------------------------------------------
const otherTheme = () => (document.documentElement.dataset.theme === "dark" ? "light" : "dark");

function switchTheme() {
  localStorage.setItem("asgi_push_theme", otherTheme());
  document.documentElement.dataset.theme = otherTheme();
}

function themed() {
  put($("theme"), otherTheme() === "dark" ? "Dark" : "Light");
  charts.draw();
}

$("theme").addEventListener("click", switchTheme);
new MutationObserver(themed).observe(document.documentElement, { attributeFilter: ["data-theme"] });
themed();
$("logout").addEventListener("click", async () => {
  try {
    await fetch("console/logout", { method: "POST", headers: { "content-type": "application/json" } });
    location.reload();
  } catch {
    drawers.say("bad", "The server cannot be reached: you are still logged in");
  }
});

// -- the keyboard -------------------------------------------------------------------------------------------------
const KEYS = {
  "/": () => $("search").focus(),
  s: () => lists.show("sessions"),
  c: () => lists.show("channels"),
  j: () => lists.step(1),
  k: () => lists.step(-1),
  "[": () => lists.turn(-1),
  "]": () => lists.turn(1),
  " ": () => lists.pause(),
  p: () => drawers.publish(),
  t: switchTheme,
  "?": () => $("keys").showModal(),
};

document.addEventListener("keydown", (event) => {
  const { key, target } = event;
  if (key === "Escape" && target === $("search")) return lists.clear();
  if (event.ctrlKey || event.metaKey || event.altKey || document.querySelector("dialog[open]")) return;
  if (target.matches("input, textarea, select") || (key === " " && target.matches("button, summary"))) return;
  if (!KEYS[key]) return;
  event.preventDefault();
  KEYS[key]();
});

line.look(lists.view);
line.open();
