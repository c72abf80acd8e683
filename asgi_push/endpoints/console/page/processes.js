/** The processes that share the broker: the picker, and what is known of all of them or of the one that is picked. */
import { $, clock, count, duration, element, exact, plural, put } from "./dom.js";

const span = (values, write) => {
  const [first, last] = [write(Math.min(...values)), write(Math.max(...values))];
  return first === last ? first : `${first} to ${last}`;
};
const each = (values) => [...new Set(values)].sort().join(", ");

export class Processes extends EventTarget {
  picked = ""; // an id; empty for all
  #all = [];
  #buttons = new Map();
  #server = { broker: "", hub: "" };
  #down = null; // when the broker went away
  #lost = null; // when the server went away
  #problem = "";

  constructor() {
    super();
    $("picker").addEventListener("keydown", ({ key }) => {
      const step = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[key];
      if (!step) return;
      const ids = ["", ...this.#all.map(({ id }) => id)];
      this.pick(ids[(ids.indexOf(this.picked) + step + ids.length) % ids.length]);
      this.#buttons.get(this.picked)?.focus();
    });
  }

  meet(server) {
    this.#server = server;
    const alone = server.broker === "memory";
    put($("scope"), alone ? "The broker memory:// serves one process: other workers, if there are any, are not shown here." : "");
    $("scope").hidden = !alone;
  }

  get several() {
    return this.#all.length > 1;
  }

  /** How a process is called: by its number, and by its host where there are several hosts. */
  name(id) {
    const found = this.#all.find((process) => process.id === id);
    if (!found) return "ended";
    return new Set(this.#all.map(({ host }) => host)).size > 1 ? `${found.pid} on ${found.host}` : String(found.pid);
  }

  /** The processes that may be drained, the picked one first. */
  drainable() {
    const open = this.#all.filter(({ accepting }) => accepting);
    return open.sort((one, other) => (other.id === this.picked) - (one.id === this.picked));
  }

  pick(id) {
    if (id === this.picked) return;
    this.picked = id;
    this.#draw();
    this.dispatchEvent(new Event("pick"));
  }

  update(all, problem) {
    this.#all = [...all].sort((one, other) => one.host.localeCompare(other.host) || one.pid - other.pid || one.id.localeCompare(other.id));
    this.#problem = problem;
    const ended = this.picked && !problem && !all.some(({ id }) => id === this.picked);
    if (ended) {
      this.dispatchEvent(new Event("ended"));
      this.pick("");
    }
    this.#draw();
  }

  /** The line to the server: live or not. */
  line(live) {
    this.#lost = live ? null : (this.#lost ?? Date.now() / 1000);
    this.#banner();
  }

  #draw() {
    const shown = this.#all.filter(({ id }) => !this.picked || id === this.picked);
    if (!shown.length) return;
    this.#facts(shown);
    this.#picker();
    this.#banner();
    $("drain-open").disabled = !this.drainable().length;
  }

  #facts(shown) {
    const [one] = shown;
    const alone = shown.length === 1;
    const hosts = new Set(shown.map(({ host }) => host)).size;
    put($("fact-process-name"), alone ? "Process" : "Processes");
    put($("fact-process"), alone ? `${one.pid} on ${one.host}` : `${exact(shown.length)} on ${hosts === 1 ? one.host : plural(hosts, "host")}`);
    $("fact-process").title = alone ? `id ${one.id}` : "";
    put($("fact-uptime"), span(shown.map(({ uptime }) => uptime), duration));
    const releases = each(shown.map(({ version }) => version || "sources"));
    put($("fact-version"), `${releases}, Python ${each(shown.map(({ python }) => python))}`);
    const up = shown.filter((process) => process.broker_up).length;
    this.#down = up === shown.length ? null : (this.#down ?? Date.now() / 1000);
    put($("fact-broker"), up === shown.length ? this.#server.broker : `${this.#server.broker}, unreachable${alone ? "" : ` for ${exact(shown.length - up)}`}`);
    $("fact-broker").dataset.state = up === shown.length ? "good" : "bad";
    const open = shown.filter(({ accepting }) => accepting).length;
    put($("fact-accepting"), open === shown.length ? "accepted" : alone ? "refused" : `refused by ${exact(shown.length - open)} of ${exact(shown.length)}`);
    $("fact-accepting").dataset.state = open === shown.length ? "good" : "warn";
    put($("count-sessions"), count(shown.reduce((sum, { sessions }) => sum + sessions, 0)));
  }

  #picker() {
    $("picker").hidden = !this.several;
    if (!this.several) return;
    const total = this.#all.reduce((sum, { sessions }) => sum + sessions, 0);
    const shown = [{ id: "", label: `All ${exact(this.#all.length)}`, sessions: total, accepting: true, broker_up: true }, ...this.#all.map((one) => ({ ...one, label: this.name(one.id) }))];
    const known = new Set(shown.map(({ id }) => id));
    for (const [id, button] of this.#buttons) {
      if (known.has(id)) continue;
      button.remove();
      this.#buttons.delete(id);
    }
    shown.forEach((process, place) => {
      const button = this.#button(process.id);
      if ($("picker").children[place] !== button) $("picker").insertBefore(button, $("picker").children[place] ?? null);
      button.setAttribute("aria-checked", process.id === this.picked);
      button.tabIndex = process.id === this.picked ? 0 : -1;
      button.dataset.state = !process.broker_up ? "bad" : process.accepting ? "good" : "warn";
      put(button.firstChild, process.label);
      put(button.lastChild, `${count(process.sessions)}${process.accepting ? "" : ", draining"}`);
      button.setAttribute("aria-label", `${process.id ? "Process " : ""}${process.label}: ${plural(process.sessions, "session")}${process.accepting ? "" : ", draining"}${process.broker_up ? "" : ", without its broker"}`);
    });
  }

  #button(id) {
    if (!this.#buttons.has(id)) {
      const button = element("button", { type: "button" }, element("span"), element("span", { className: "number" }));
      button.setAttribute("role", "radio");
      button.addEventListener("click", () => this.pick(id));
      this.#buttons.set(id, button);
    }
    return this.#buttons.get(id);
  }

  #banner() {
    const shown = this.#all.filter(({ id }) => !this.picked || id === this.picked);
    const draining = shown.filter(({ accepting }) => !accepting);
    const say = (kind, text) => {
      $("banner").hidden = false;
      $("banner").dataset.kind = kind;
      put($("banner"), text);
    };
    if (this.#lost) {
      if (this.#all.length) say("bad", `The server cannot be reached since ${clock(this.#lost)}. What you see is from before that.`);
    } else if (this.#down) {
      say("bad", `The broker ${this.#server.broker} cannot be reached since ${clock(this.#down)}. Publications of other processes do not arrive, publishing fails, and processes and sessions may be missing here.`);
    } else if (this.#problem) {
      say("warn", `${this.#problem} Its sessions are missing here.`);
    } else if (draining.length) {
      const one = draining.length === 1;
      say("warn", `${one ? `Process ${this.name(draining[0].id)} is` : `${exact(draining.length)} processes are`} draining: ${one ? "it takes" : "they take"} no new sessions, and ${one ? "sends those that it has" : "send those that they have"} to other processes.`);
    } else {
      $("banner").hidden = true;
    }
  }
}
