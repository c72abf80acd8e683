/** The right panel and the table: what the application can do, and whom it holds. The list is pushed, never polled. */
import { outage } from "./browser.js";
import { Line } from "./client.js";
import { $, Log, duration, element, plural, seconds } from "./dom.js";
import { own } from "./sessions.js";

const SILENT_AFTER = 8; // seconds: one ping interval and its answer; later than this, something is wrong

async function post(path, body) {
  const response = await fetch(path, { method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify(body) });
  const answer = await response.json();
  if (!response.ok) throw new Error(answer.error);
  return answer;
}

function report(kind, text) {
  $("result").dataset.kind = kind;
  $("result").textContent = text;
}

const complain = (error) => report("bad", error instanceof TypeError ? "The server cannot be reached" : error.message);

// -- push ---------------------------------------------------------------------------------------------------------
const remembered = { one: "11", several: "11, 12, 13", all: "" };
const HINTS = { one: "User", several: "Users, separated by commas", all: "Users" };
let audience = "one";
let online = [];

const users = () => [...new Set($("users").value.split(/[\s,]+/).filter(Boolean))];

function call() {
  const data = `{"message": ${JSON.stringify($("message").value)}}`;
  const chosen = users();
  if (audience === "all") return `await push.send_to_all(${data})`;
  if (audience === "one") return `await push.send_to_user(${JSON.stringify(chosen[0] ?? "")}, ${data})`;
  return `await push.send_to_users(${JSON.stringify(chosen).replaceAll(",", ", ")}, ${data})`;
}

function renderForm() {
  $("call").textContent = call();
  const chosen = users();
  for (const chip of $("online").children) {
    chip.setAttribute("aria-pressed", audience === "all" || chosen.includes(chip.textContent));
    chip.disabled = audience === "all";
  }
}

function choose(to) {
  remembered[audience] = $("users").value;
  audience = to;
  $("users").value = remembered[to];
  $("users").disabled = to === "all";
  $("users").placeholder = to === "all" ? "All open sessions" : "11";
  $("users-label").textContent = HINTS[to];
  renderForm();
}

function toggle(user) {
  const chosen = users();
  if (audience === "one") $("users").value = user;
  else $("users").value = (chosen.includes(user) ? chosen.filter((other) => other !== user) : [...chosen, user]).join(", ");
  renderForm();
}

function renderOnline(sessions) {
  const now = [...new Set(sessions.map(({ user }) => user))].sort((a, b) => a.localeCompare(b, "en", { numeric: true }));
  if (now.join("\n") === online.join("\n")) return;
  online = now;
  $("online").replaceChildren(...online.map((user) => element("button", { type: "button", text: user, onclick: () => toggle(user) })));
  $("online-label").textContent = online.length ? "Online" : "Nobody is online";
  renderForm();
}

const reached = (receivers) => (receivers ? `Reached ${plural(receivers, "session")}` : "Reached nobody: no session is open");

for (const radio of document.querySelectorAll("input[name=to]")) radio.addEventListener("change", () => choose(radio.value));
$("users").addEventListener("input", renderForm);
$("message").addEventListener("input", renderForm);

$("push-form").addEventListener("submit", async (event) => {
  event.preventDefault();
  try {
    const to11 = audience === "all" || users().includes("11");
    const { receivers, id } = await post("/demo/push", { to: audience, users: users(), message: $("message").value });
    if (to11) outage.pushed(id);
    report(receivers === 0 ? "note" : "good", reached(receivers));
  } catch (error) {
    complain(error);
  }
});

// -- the live list ------------------------------------------------------------------------------------------------
const OWN = { held: "this page", lost: "line lost" };
const rows = new Map(); // session id -> its row: kept, so that focus survives each update
const PROTOCOLS = { plain: "WebSocket", centrifuge: "SDK", sse: "EventSource" };
const COLUMNS = ["user", "session", "protocol", "remote", "age", "silent", "dropped"];
const HEADINGS = { user: "User", session: "Session", protocol: "Protocol", remote: "From", age: "Age", silent: "Last heartbeat", dropped: "Dropped" };

function newRow({ id, user }) {
  const cells = Object.fromEntries(COLUMNS.map((name) => [name, element("td", { className: name })]));
  for (const name of COLUMNS) cells[name].dataset.label = HEADINGS[name];
  cells.tag = element("span", { className: "tag" });
  cells.user.append(element("span", { className: "name", text: user, title: user }), cells.tag);
  const leave = element("button", { type: "button", className: "quiet", text: "Disconnect", ariaLabel: `Disconnect user ${user}, session ${id.slice(0, 8)}` });
  leave.addEventListener("click", () => post("/demo/disconnect", { session: id }).catch(complain));
  const row = element("tr", {}, ...COLUMNS.map((name) => cells[name]), element("td", { className: "action" }, leave));
  row.dataset.session = id;
  return { row, cells };
}

function fill({ row, cells }, session) {
  cells.session.textContent = session.id.slice(0, 8);
  cells.session.title = session.id;
  cells.protocol.textContent = PROTOCOLS[session.protocol];
  cells.remote.textContent = session.remote || "unknown";
  cells.age.textContent = duration(session.age);
  const beats = session.protocol !== "sse"; // the client of an event stream says nothing
  cells.silent.textContent = beats ? `${seconds(session.silent)} ago` : "none";
  cells.silent.dataset.late = beats && session.silent > SILENT_AFTER;
  cells.dropped.textContent = session.dropped;
  const tag = OWN[own.get(session.id)] ?? "";
  if (cells.tag.textContent !== tag) cells.tag.textContent = tag;
}

function renderSessions(sessions) {
  const present = new Set(sessions.map(({ id }) => id));
  for (const [id, { row }] of rows) {
    if (present.has(id)) continue;
    if (row.contains(document.activeElement)) $("sessions-title").focus();
    row.remove();
    rows.delete(id);
  }
  for (const session of sessions) {
    if (!rows.has(session.id)) {
      rows.set(session.id, newRow(session));
      $("sessions").append(rows.get(session.id).row);
    }
    fill(rows.get(session.id), session);
  }
  $("sessions-count").textContent = sessions.length;
  $("sessions-table").hidden = sessions.length === 0;
  $("sessions-none").hidden = sessions.length !== 0;
}

const seen = new Log($("seen"));
let lastSeen = 0;

function renderEvents(events) {
  for (const { number, kind, text, ago } of events) {
    if (number <= lastSeen) continue;
    seen.add(kind, text, new Date(Date.now() - ago * 1000));
    lastSeen = number;
  }
}

const monitor = new Line(`${location.protocol === "https:" ? "wss" : "ws"}://${location.host}/websocket/monitor?channels=demo:sessions`);

monitor.addEventListener("message", ({ detail }) => {
  const { sessions, events } = JSON.parse(detail);
  if (!sessions) return; // a push to everybody reaches the monitor as well
  renderSessions(sessions);
  renderOnline(sessions);
  renderEvents(events);
});

monitor.addEventListener("state", ({ detail: { state } }) => {
  const live = state === "open";
  $("server-state").dataset.state = state;
  $("server-state").textContent = live ? "Live" : state === "waiting" ? "Unreachable, trying again" : "Connecting";
  $("sessions-panel").dataset.stale = !live;
});

// -- copy ---------------------------------------------------------------------------------------------------------
for (const button of document.querySelectorAll("[data-copies]")) {
  button.addEventListener("click", async () => {
    const source = $(button.dataset.copies);
    try {
      await navigator.clipboard.writeText(source.textContent);
      button.textContent = "Copied";
    } catch {
      getSelection().selectAllChildren(source); // no clipboard on a plain http address: the keyboard does the rest
      button.textContent = "Selected";
    }
    setTimeout(() => (button.textContent = "Copy"), 1500);
  });
}

async function showAbout() {
  const { version, docs } = await (await fetch("/demo/about")).json();
  $("version").textContent = version;
  if (!docs) return; // the pages are named as they are in a checkout
  for (const link of document.querySelectorAll("[data-page]")) link.href = `${docs}/${link.dataset.page}.html`;
}

choose("one");
monitor.open();
showAbout();
