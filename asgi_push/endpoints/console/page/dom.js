/** What all parts need of the document. Text is only ever set as text: nothing here, or elsewhere, parses HTML. */
export const $ = (id) => document.getElementById(id);

export function element(name, { text = "", data = {}, ...properties } = {}, ...children) {
  const node = Object.assign(document.createElement(name), properties);
  if (text !== "") node.textContent = text;
  Object.assign(node.dataset, data);
  node.append(...children);
  return node;
}

/** Set a text only where it changed: what is selected stays selected. */
export function put(node, text) {
  if (node.textContent !== String(text)) node.textContent = text;
}

const whole = new Intl.NumberFormat("en-US");

/** 950, 12,345, 1.23M: never longer than seven characters. */
export function count(value) {
  if (value == null) return "–";
  if (value >= 1e6) return `${(value / 1e6).toPrecision(3)}M`;
  if (value >= 1e5) return `${Math.round(value / 1e3)}k`;
  return value >= 10 || Number.isInteger(value) ? whole.format(Math.round(value)) : value.toFixed(1);
}

export const exact = (value) => whole.format(value);

export function bytes(value) {
  if (value == null) return "–";
  for (const [size, unit] of [[1e9, "GB"], [1e6, "MB"], [1e3, "kB"]]) {
    if (value >= size) return `${(value / size).toFixed(value >= 100 * size ? 0 : 1)} ${unit}`;
  }
  return `${value} B`;
}

/** Milliseconds: 0.04 ms, 1.2 ms, 25 ms, 3.4 s. */
export function milliseconds(value) {
  if (value == null) return "–";
  if (value >= 1000) return `${(value / 1000).toFixed(1)} s`;
  return `${value >= 10 ? Math.round(value) : value >= 1 ? value.toFixed(1) : value.toFixed(2)} ms`;
}

/** Seconds: 7 s, 12 min, 3 h 20, 4 d. */
export function duration(value) {
  const s = Math.max(0, Math.floor(value));
  if (s < 60) return `${s} s`;
  if (s < 3600) return `${Math.floor(s / 60)} min`;
  if (s < 86400) return `${Math.floor(s / 3600)} h ${String(Math.floor(s / 60) % 60).padStart(2, "0")}`;
  return `${Math.floor(s / 86400)} d ${Math.floor(s / 3600) % 24} h`;
}

export const clock = (at) => new Date(at * 1000).toLocaleTimeString("en-GB");

export const plural = (number, word) => `${exact(number)} ${word}${number === 1 ? "" : "s"}`;
