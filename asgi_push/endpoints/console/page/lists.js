/** The two lists: a page of rows as the server found them. It searches and sorts, so that ten thousand are no more work. */
import { $, bytes, duration, element, exact, milliseconds, plural, put } from "./dom.js";

const PAGE = 50; // rows that the server sends
const LATE = 60; // seconds without a word after which a session stands out

const heartbeat = (row) => (row.round_trip == null ? `${duration(row.silent)} ago` : `${milliseconds(row.round_trip)}, ${duration(row.silent)} ago`);
const history = ({ history: kept }) => (kept ? `${exact(kept.size)} for ${duration(kept.ttl)}` : "none");
const PROTOCOLS = { plain: "plain", centrifuge: "SDK", sse: "SSE" };

/** What a session speaks, and over what where that says more. */
export function protocol({ protocol: name, transport }, write = (spoken, carrier) => `${spoken} · ${carrier}`) {
  const spoken = PROTOCOLS[name] ?? name;
  return transport === name ? spoken : write(spoken, transport);
}

// The columns of each list: name, heading, what stands in it, and by what the server sorts it.
const COLUMNS = {
  sessions: [
    ["user", "User", (row) => row.user || "anonymous", "user"],
    ["id", "Session", (row) => row.id.slice(0, 8)],
    ["protocol", "Protocol", (row) => (row.transport === "websocket" ? (PROTOCOLS[row.protocol] ?? row.protocol) : protocol(row))],
    ["process", "Process", (row, processes) => processes.name(row.process)],
    ["remote", "From", (row) => row.remote || "unknown"],
    ["age", "Age", (row) => duration(row.age), "newest", "oldest"],
    ["heartbeat", "Last heard", heartbeat, "silent", "round_trip"],
    ["queue", "Queue", (row) => (row.queue_messages ? `${bytes(row.queue_bytes)} · ${exact(row.queue_messages)}` : "empty"), "queue"],
    ["dropped", "Dropped", (row) => exact(row.dropped)],
  ],
  channels: [
    ["user", "Channel", (row) => row.name, "name"],
    ["sessions", "Sessions", (row) => exact(row.sessions), "sessions"],
    ["history", "History", history],
  ],
};
const SORTED = { newest: "newest first", oldest: "oldest first", silent: "longest silent first", round_trip: "slowest heartbeat first", queue: "fullest first" };

export class Lists extends EventTarget {
  view = { process: "", list: "sessions", search: "", channel: "", sort: "newest", order: "sessions", own: false, page: 0, open_session: "", open_channel: "" };
  paused = false;
  paths = []; // where clients connect
  #rows = new Map(); // by session id or channel name: kept, so that focus survives each update
  #last = 0; // the row that can be paged to
  #processes;

  constructor(processes) {
    super();
    this.#processes = processes;
    for (const list of ["sessions", "channels"]) $(`tab-${list}`).addEventListener("click", () => this.show(list));
    $("tab-sessions").parentElement.addEventListener("keydown", ({ key }) => {
      if (key !== "ArrowLeft" && key !== "ArrowRight") return;
      this.show(this.view.list === "sessions" ? "channels" : "sessions");
      $(`tab-${this.view.list}`).focus();
    });
    $("search").addEventListener("input", () => this.change({ search: $("search").value, page: 0 }));
    $("own").addEventListener("change", () => this.change({ own: $("own").checked, page: 0 }));
    $("in-channel").addEventListener("click", () => this.change({ channel: "", page: 0 }));
    $("none-clear").addEventListener("click", () => this.clear());
    $("earlier").addEventListener("click", () => this.turn(-1));
    $("later").addEventListener("click", () => this.turn(1));
    $("pause").addEventListener("click", () => this.pause());
    this.#frame();
  }

  /** Look at something else: the server is told, and answers at once. */
  change(changes) {
    this.view = { ...this.view, ...changes };
    this.#frame();
    if (this.paused && ("page" in changes || "list" in changes)) this.pause(); // who asks for other rows wants to see them
    this.dispatchEvent(new Event("change"));
  }

  show(list, channel = "") {
    if ($("search").value) $("search").value = "";
    this.change({ list, channel, search: "", page: 0 });
  }

  clear() {
    $("search").value = "";
    this.change({ search: "", channel: "", page: 0 });
    $("search").focus();
  }

  turn(step) {
    const pages = Math.max(1, Math.ceil(this.#last / PAGE));
    const page = Math.min(Math.max(this.view.page + step, 0), Math.min(pages, 201) - 1);
    if (page !== this.view.page) this.change({ page });
  }

  pause() {
    this.paused = !this.paused;
    $("pause").setAttribute("aria-pressed", this.paused);
    put($("pause"), this.paused ? "Paused" : "Pause");
  }

  /** Move the focus to the next row, or the one before. */
  step(by) {
    const buttons = [...$("rows").querySelectorAll("button.open")];
    const at = buttons.indexOf(document.activeElement?.closest("tr")?.querySelector("button.open"));
    buttons[at < 0 ? 0 : Math.min(Math.max(at + by, 0), buttons.length - 1)]?.focus();
  }

  /** Draw what does not come from the server: tabs, headings, what is searched for. */
  #frame() {
    const { list, channel, sort, order } = this.view;
    for (const name of ["sessions", "channels"]) {
      $(`tab-${name}`).setAttribute("aria-selected", name === list);
      $(`tab-${name}`).tabIndex = name === list ? 0 : -1;
    }
    $("list").setAttribute("aria-labelledby", `tab-${list}`);
    $("own-label").hidden = list !== "channels";
    $("own").checked = this.view.own;
    $("in-channel").hidden = !channel;
    put($("in-channel"), `in ${channel} ×`);
    $("in-channel").setAttribute("aria-label", `Only sessions in ${channel}: show all`);
    $("search").placeholder = list === "sessions" ? "User, session, address" : "Channel";
    if ($("table").dataset.list !== list) {
      $("table").dataset.list = list;
      this.#rows.clear();
      $("rows").replaceChildren();
      $("head").replaceChildren(element("tr", {}, ...COLUMNS[list].map((column) => this.#heading(...column)), element("th", { className: "action", scope: "col" }, element("span", { className: "hidden", text: "Action" }))));
    }
    const by = list === "sessions" ? sort : order;
    for (const cell of $("head").querySelectorAll("th[data-sorts]")) {
      const mine = cell.dataset.sorts.split(" ").includes(by);
      if (mine) cell.setAttribute("aria-sort", by === "newest" || by === "name" || by === "user" ? "ascending" : "descending");
      else cell.removeAttribute("aria-sort");
      cell.firstChild.title = mine && SORTED[by] ? `Sorted: ${SORTED[by]}` : "Sort by this";
    }
  }

  #heading(name, text, _, ...sorts) {
    const cell = element("th", { className: name, scope: "col" });
    if (!sorts.length) return Object.assign(cell, { textContent: text });
    cell.dataset.sorts = sorts.join(" ");
    const button = element("button", { type: "button", text });
    button.addEventListener("click", () => {
      const key = this.view.list === "sessions" ? "sort" : "order";
      const next = sorts[(sorts.indexOf(this.view[key]) + 1) % sorts.length];
      this.change({ [key]: next, page: 0 });
    });
    cell.append(button);
    return cell;
  }

  /** Show what the server has found. */
  update(found, { list, page }) {
    if (this.paused || list !== this.view.list || page !== this.view.page) return;
    this.#last = found.last;
    $("table").dataset.several = this.#processes.several && !this.view.process;
    const focused = document.activeElement?.closest?.("tr")?.dataset.key;
    const within = document.activeElement?.className;
    const keys = found.rows.map((row) => row.id ?? row.name);
    const wanted = new Set(keys);
    for (const [key, { row }] of this.#rows) {
      if (wanted.has(key)) continue;
      row.remove();
      this.#rows.delete(key);
    }
    found.rows.forEach((row, place) => {
      if (!this.#rows.has(keys[place])) this.#rows.set(keys[place], this.#newRow(keys[place], row));
      const known = this.#rows.get(keys[place]);
      const there = $("rows").children[place];
      if (there !== known.row) $("rows").insertBefore(known.row, there ?? null);
      this.#fill(known.cells, row);
    });
    if (focused && document.activeElement === document.body) this.#rows.get(focused)?.row.getElementsByClassName(within)[0]?.focus();
    this.#foot(found, page);
  }

  #foot({ rows, count: all, of, last, complete }, page) {
    const { list, search, channel } = this.view;
    const what = list === "sessions" ? "session" : "channel";
    $("table").hidden = rows.length === 0;
    $("none").hidden = rows.length !== 0;
    $("pager").hidden = rows.length === 0 && page === 0;
    $("none-clear").hidden = !search && !channel;
    const further = last < all && (page + 1) * PAGE >= last;
    if (rows.length) {
      put($("range"), `${exact(page * PAGE + 1)}–${exact(page * PAGE + rows.length)} of ${complete === false ? "at least " : ""}${plural(all, what)}${all === of || list === "channels" ? "" : `, ${exact(of)} in all`}${further ? ". For those further down, pick a process or search" : ""}`);
    } else {
      put($("range"), "");
      put($("none-text"), search ? `No ${what} matches “${search}”.` : channel ? `Nobody is in ${channel} any more.` : page ? "There is nothing so far down any more." : list === "sessions"
        ? `Nobody is connected${this.view.process ? " to this process" : ""}. Clients come to ${this.paths.join(" or ")}.` : this.view.own ? "No channel has sessions." : "No channel of the application's has sessions.");
    }
    $("earlier").disabled = page === 0;
    $("later").disabled = (page + 1) * PAGE >= last || page >= 200;
  }

  #newRow(key, about) {
    const { list } = this.view;
    const cells = Object.fromEntries(COLUMNS[list].map(([name, heading]) => [name, element("td", { className: name, data: { label: heading } })]));
    const open = element("button", { type: "button", className: "open" });
    cells.user.append(open);
    if (list === "channels" && key === "*") cells.user.append(element("span", { className: "tag", text: "everybody" }));
    const act = element("button", { type: "button", className: list === "sessions" ? "quiet danger act" : "quiet act", text: list === "sessions" ? "Disconnect" : "Publish" });
    act.setAttribute("aria-label", list === "sessions" ? `Disconnect ${about.user || "anonymous"}, session ${key.slice(0, 8)}` : `Publish to ${key}`);
    if (list === "sessions") act.dataset.sure = "Sure?";
    const row = element("tr", { data: { key } }, ...Object.values(cells), element("td", { className: "action" }, act));
    const tell = (name) => this.dispatchEvent(new CustomEvent(name, { detail: { list, key } }));
    row.addEventListener("click", ({ target }) => target !== act && !String(getSelection()) && tell("open"));
    act.addEventListener("click", () => list === "sessions" ? sure(act, () => tell("disconnect")) : tell("publish"));
    return { row, cells: { ...cells, open } };
  }

  #fill(cells, row) {
    for (const [name, , read] of COLUMNS[this.view.list]) put(name === "user" ? cells.open : cells[name], read(row, this.#processes));
    cells.open.title = row.name ?? row.user;
    if (this.view.list !== "sessions") return;
    cells.user.dataset.anonymous = row.user === "";
    cells.id.title = row.id;
    cells.heartbeat.dataset.late = row.silent > LATE && row.protocol !== "plain";
    cells.queue.dataset.some = row.queue_messages > 0;
    cells.dropped.dataset.some = row.dropped > 0;
  }
}

/** Do something that cannot be undone on the second click; the question goes away by itself. */
export function sure(button, act) {
  if (button.dataset.asked) {
    delete button.dataset.asked;
    put(button, button.dataset.text);
    return act();
  }
  button.dataset.asked = "true";
  button.dataset.text = button.textContent;
  put(button, button.dataset.sure);
  setTimeout(() => {
    if (!button.dataset.asked) return;
    delete button.dataset.asked;
    put(button, button.dataset.text);
  }, 3000);
}
