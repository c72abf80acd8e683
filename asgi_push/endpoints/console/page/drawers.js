/** What opens over the lists: one session, one channel, publishing, draining. */
import { $, bytes, clock, duration, element, exact, milliseconds, plural, put } from "./dom.js";
import { protocol, sure } from "./lists.js";

function facts(list, pairs) {
  const known = new Map([...list.children].map((pair) => [pair.dataset.name, pair]));
  for (const [name, value] of pairs) {
    if (!known.has(name)) {
      known.set(name, element("div", { data: { name } }, element("dt", { text: name }), element("dd")));
      list.append(known.get(name));
    }
    put(known.get(name).lastChild, value);
  }
  for (const [name, pair] of known) if (!pairs.some(([wanted]) => wanted === name)) pair.remove();
}

/** Rows that come in the same order each time: only those that changed are made anew. */
function keyed(list, items, keyOf, make) {
  const known = new Map([...list.children].map((node) => [node.dataset.key, node]));
  const nodes = items.map((item) => known.get(keyOf(item)) ?? Object.assign(make(item)));
  nodes.forEach((node, place) => (node.dataset.key = keyOf(items[place])));
  if (nodes.length !== list.children.length || nodes.some((node, place) => node !== list.children[place])) list.replaceChildren(...nodes);
}

export class Drawers extends EventTarget {
  #lists;
  #line;
  #session = null;
  #channel = null;
  #processes;

  constructor(lists, line, processes) {
    super();
    this.#processes = processes;
    this.#lists = lists;
    this.#line = line;
    for (const button of document.querySelectorAll("[data-closes]")) button.addEventListener("click", () => button.closest("dialog").close());
    for (const dialog of document.querySelectorAll("dialog")) {
      dialog.addEventListener("click", ({ target }) => target === dialog && dialog.close()); // beside it
    }
    $("session").addEventListener("close", () => lists.change({ open_session: "" }));
    $("channel").addEventListener("close", () => lists.change({ open_channel: "" }));
    $("publish-open").addEventListener("click", () => this.publish());
    $("drain-open").addEventListener("click", () => this.#openDrain());
    $("keys-open").addEventListener("click", () => $("keys").showModal());
    $("publish-form").addEventListener("submit", (event) => this.#send(event));
    $("drain-form").addEventListener("submit", (event) => this.#drain(event));
    $("session-publish").addEventListener("click", () => this.publish(`#${this.#session.user}`));
    $("session-disconnect").addEventListener("click", ({ target }) => sure(target, () => this.act("disconnect", { session: this.#session.id })));
    $("session-disconnect-user").addEventListener("click", ({ target }) => sure(target, () => this.act("disconnect", { user: this.#session.user })));
    $("channel-publish").addEventListener("click", () => this.publish(this.#channel));
    $("channel-sessions").addEventListener("click", () => {
      $("channel").close();
      lists.show("sessions", this.#channel);
    });
  }

  /** Do something, and say what became of it. */
  async act(name, fields) {
    try {
      this.say("good", await this.#line.act(name, fields));
    } catch (error) {
      this.say("bad", error.message);
    }
  }

  say(kind, text) {
    const host = document.querySelector("dialog[open]") ?? document.body; // an open dialog hides all else
    host.append($("toast"));
    $("toast").dataset.kind = kind;
    put($("toast"), text);
    $("toast").hidden = false;
    clearTimeout(this.hiding);
    this.hiding = setTimeout(() => ($("toast").hidden = true), kind === "bad" ? 8000 : 4000);
  }

  #open(name) {
    if (!$(name).open) $(name).showModal();
    $(`${name}-title`).focus();
  }

  openSession(id) {
    $("channel").close();
    this.#session = { id, user: "" };
    for (const list of ["session-facts", "session-channels", "session-known"]) $(list).replaceChildren();
    put($("session-title"), `Session ${id.slice(0, 8)}`);
    this.#lists.change({ open_session: id });
    this.#open("session");
  }

  openChannel(name) {
    $("session").close();
    this.#channel = name;
    for (const list of ["channel-facts", "channel-publications"]) $(list).replaceChildren();
    put($("channel-none"), "");
    put($("channel-title"), name);
    this.#lists.change({ open_channel: name });
    this.#open("channel");
  }

  publish(channel) {
    for (const open of ["session", "channel"]) $(open).close();
    if (channel !== undefined) $("publish-channel").value = channel;
    put($("publish-answer"), "");
    $("publish").showModal();
    $(channel ? "publish-data" : "publish-channel").focus();
  }

  showSession(session) {
    if (session.id !== this.#session?.id) return;
    $("session-gone").hidden = !session.gone;
    for (const button of ["session-publish", "session-disconnect", "session-disconnect-user"]) $(button).disabled = Boolean(session.gone);
    if (session.gone) return;
    this.#session = session;
    put($("session-title"), session.user || "Anonymous");
    $("session-publish").hidden = $("session-disconnect-user").hidden = !session.user;
    facts($("session-facts"), [
      ["Session", session.id],
      ["Protocol", `${protocol(session, (spoken, carrier) => `${spoken} over ${carrier}`)}, ${session.writes} writes`],
      ["Process", this.#processes.name(session.process)],
      ["From", session.remote || "unknown"],
      ["Connected for", duration(session.age)],
      ["Last heard", `${duration(session.silent)} ago`],
      ["Heartbeat", session.round_trip == null ? (session.protocol === "plain" ? "sent by the client" : "none yet") : milliseconds(session.round_trip)],
      ["Queue", session.queue_messages ? `${bytes(session.queue_bytes)} in ${plural(session.queue_messages, "message")}` : "empty"],
      ["Dropped", plural(session.dropped, "message")],
    ]);
    put($("session-channels-count"), exact(session.channels));
    keyed($("session-channels"), session.names, (name) => name, (name) => {
      const open = element("button", { type: "button", className: "chip", text: name });
      open.addEventListener("click", () => this.openChannel(name));
      return element("li", {}, open);
    });
    const blocks = Object.entries(session.known);
    keyed($("session-known"), blocks, ([name, text]) => name + text, ([name, text]) => element("div", {}, element("h3", { text: name }), element("pre", { text, tabIndex: 0 })));
  }

  showChannel(channel) {
    if (channel.name !== this.#channel) return;
    const kept = channel.history;
    facts($("channel-facts"), [
      ["Sessions", exact(channel.sessions)],
      ["Keeps", kept ? `${exact(kept.size)} for ${duration(kept.ttl)} after the last` : "no history"],
      ...(channel.epoch === undefined ? [] : [["Position", `offset ${exact(channel.offset)}, epoch ${channel.epoch}, id ${channel.id}`]]),
    ]);
    const items = channel.publications ?? [];
    $("channel-none").dataset.kind = channel.error ? "bad" : "";
    put($("channel-none"), channel.error ?? (kept === null ? "This channel keeps no history." : items.length ? "" : "Nothing is kept now."));
    keyed($("channel-publications"), items, (item) => `${channel.epoch} ${item.offset}`, (item) => element("li", {},
      element("p", { className: "what" }, element("span", { className: "offset", text: exact(item.offset) }),
        element("span", { text: [item.time && clock(item.time), item.kind, bytes(item.size), item.by && `by ${item.by}`, ...Object.entries(item.tags).map((tag) => tag.join("="))].filter(Boolean).join(" · ") })),
      element("pre", { text: item.text + (item.cut ? " …" : ""), tabIndex: 0 })));
  }

  async #send(event) {
    event.preventDefault();
    const fields = { channel: $("publish-channel").value, data: $("publish-data").value, json: document.querySelector("[name=kind]:checked").value === "json" };
    await this.#answer("publish", fields, $("publish-answer"), $("publish-send"));
  }

  #openDrain() {
    const open = this.#processes.drainable();
    $("drain-process").replaceChildren(...open.map(({ id, pid, host, sessions }) => element("option", { value: id, text: `${pid} on ${host}, ${plural(sessions, "session")}` })));
    put($("drain-answer"), "");
    $("drain").showModal();
  }

  async #drain(event) {
    event.preventDefault();
    put($("drain-answer"), `Draining since ${clock(Date.now() / 1000)} …`);
    await this.#answer("drain", { process: $("drain-process").value, over: Number($("drain-over").value) }, $("drain-answer"), $("drain-start"));
  }

  async #answer(name, fields, answer, button) {
    button.disabled = true;
    try {
      answer.dataset.kind = "good";
      put(answer, await this.#line.act(name, fields));
    } catch (error) {
      answer.dataset.kind = "bad";
      put(answer, error.message);
    }
    button.disabled = false;
  }
}
