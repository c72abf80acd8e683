/** What both panels need of the document. Text is only ever set as text: nothing here, or elsewhere, parses HTML. */
export const $ = (id) => document.getElementById(id);

export function element(name, { text = "", ...properties } = {}, ...children) {
  const node = Object.assign(document.createElement(name), properties);
  if (text !== "") node.textContent = text;
  node.append(...children);
  return node;
}

export const seconds = (value) => `${value.toFixed(1)} s`;

/** A duration in seconds as 0:07, 12:40, 1:02:09. */
export function duration(value) {
  const whole = Math.max(0, Math.floor(value));
  const [h, m, s] = [Math.floor(whole / 3600), Math.floor(whole / 60) % 60, whole % 60];
  const tail = `${h ? String(m).padStart(2, "0") : m}:${String(s).padStart(2, "0")}`;
  return h ? `${h}:${tail}` : tail;
}

export const plural = (count, word) => `${count} ${word}${count === 1 ? "" : "s"}`;

/** A list that grows at its end, keeps its last `limit` rows, and follows the end until the reader scrolls away. */
export class Log {
  #following = true;

  constructor(list, limit = 200) {
    this.list = list;
    this.limit = limit;
    list.addEventListener("scroll", () => {
      this.#following = list.scrollHeight - list.scrollTop - list.clientHeight < 24;
    });
    new ResizeObserver(() => this.#follow()).observe(list);
  }

  add(kind, text, time = new Date()) {
    const what = element("span", { className: "what", text });
    const row = element("li", {}, element("time", { text: time.toLocaleTimeString("en-GB") }), what);
    row.dataset.kind = kind;
    this.list.append(row);
    while (this.list.children.length > this.limit) this.list.firstElementChild.remove();
    this.#follow();
    return row;
  }

  #follow() {
    if (this.#following) this.list.scrollTop = this.list.scrollHeight;
  }
}
