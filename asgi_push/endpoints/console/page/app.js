/** The console: what the server pushes goes to its part of the page, what is typed goes to its part of the server. */
import { Charts } from "./charts.js";
import { $, put } from "./dom.js";
import { Drawers } from "./drawers.js";
import { Line } from "./line.js";
import { Lists } from "./lists.js";
import { Processes } from "./processes.js";

const line = new Line();
const charts = new Charts($("charts"));
const processes = new Processes();
const lists = new Lists(processes);
const drawers = new Drawers(lists, line, processes);
let server = null; // what all processes have in common, and the one at the other end of the line
let before = null; // the one that was there before

const STATES = { connecting: "Connecting", live: "Live", lost: "Reconnecting" };

line.addEventListener("line", ({ detail: { state } }) => {
  if (state === "connecting" && server) return; // it reconnects; the word stays until it has
  $("line").dataset.state = state;
  put($("line"), STATES[state]);
  $("main").dataset.stale = state !== "live";
  processes.line(state === "live" || !server);
});

line.addEventListener("state", ({ detail: state }) => {
  if (state.server) return meet(state.server);
  if (before) renew(state.processes);
  charts.add(state.processes);
  processes.update(state.processes, state.problem);
  if (state.view.process === processes.picked) lists.update(state[state.view.list], state.view);
  if (state.session) drawers.showSession(state.session);
  if (state.channel) drawers.showChannel(state.channel);
});

function meet(met) {
  if (!server) charts.reset(met);
  else if (met.hub !== server.hub) before = server.hub;
  server = met;
  lists.paths = met.paths;
  processes.meet(met);
}

/** Another process than before is at the other end: if that one is gone, or unknown, nothing of it is shown as another's. */
function renew(all) {
  const here = all.find(({ id }) => id === server.hub);
  if (!all.some(({ id }) => id === before)) {
    charts.reset(server);
    drawers.say("note", `Now looking at another process: pid ${here.pid} on ${here.host}`);
  }
  before = null;
}

processes.addEventListener("pick", () => {
  charts.pick(processes.picked);
  lists.change({ process: processes.picked, page: 0 });
});
processes.addEventListener("ended", () => drawers.say("note", "The process that you looked at has ended: here are all"));

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
