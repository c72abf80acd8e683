/** Small charts of the last minutes, side by side: one look at all of them is one moment. */
import { $, bytes, clock, count, element, milliseconds, put } from "./dom.js";
import { Timelines } from "./timelines.js";

const rate = (value) => (value == null ? "–" : `${count(value)}/s`);

// What each shows: its series (name, where it is in a sample, colour), and how its numbers are written.
const CHARTS = [
  { title: "Sessions", write: count, series: [["open", (s) => s.sessions, "accent"]] },
  { title: "Coming and going", write: rate, series: [["opened", (s) => s.connects, "good"], ["closed", (s) => s.disconnects, "warn"]] },
  { title: "Publications", write: rate, series: [["received", (s) => s.publications, "accent"], ["published", (s) => s.published, "soft"]] },
  { title: "Deliveries", write: rate, series: [["to sessions", (s) => s.deliveries, "accent"], ["dropped", (s) => s.drops, "bad"]] },
  { title: "Event loop held", write: milliseconds, series: [["longest", (s) => s.fanout_hold?.longest, "accent"], ["mean", (s) => s.fanout_hold?.mean, "soft"]] },
  { title: "Heartbeat round trip", write: milliseconds, series: [["longest", (s) => s.heartbeat_round_trip?.longest, "accent"], ["mean", (s) => s.heartbeat_round_trip?.mean, "soft"]] },
  { title: "Confirmation", write: milliseconds, series: [["longest", (s) => s.confirmation?.longest, "accent"], ["mean", (s) => s.confirmation?.mean, "soft"]] },
  { title: "Broker", write: milliseconds, series: [["longest", (s) => s.broker?.longest, "accent"], ["mean", (s) => s.broker?.mean, "soft"]] },
  { title: "Queued", write: bytes, series: [["waiting", (s) => s.queue_bytes, "accent"]] },
];

const PADDING = 3; // above the highest point, in pixels
const SHORTEST = 60; // samples for which there is room from the start; with more the charts reach back further

/** 1, 2 or 5 times a power of ten, and not below a value: so the scale does not change with every sample. */
function niceMax(value) {
  const power = 10 ** Math.floor(Math.log10(value));
  return [1, 2, 5, 10].map((step) => step * power).find((step) => step >= value * 0.999);
}

class Chart {
  constructor(about, onPoint) {
    this.about = about;
    this.canvas = element("canvas", { tabIndex: 0 });
    this.canvas.setAttribute("role", "img");
    this.peak = element("span", { className: "peak" });
    this.values = about.series.map(([, , colour], place) => element(place ? "span" : "strong", { className: place ? "key" : "", data: { colour } }));
    const [[first, , colour]] = about.series;
    const keys = element("p", { className: "keys" }, element("span", { className: "key", text: first, data: { colour } }), ...this.values.slice(1));
    this.node = element("section", { className: "chart" }, element("h3", { text: about.title }), this.values[0], keys,
      element("div", { className: "plot" }, this.canvas, this.peak));
    this.node.dataset.chart = about.title;
    this.canvas.addEventListener("pointermove", ({ offsetX }) => onPoint(offsetX / this.canvas.clientWidth));
    this.canvas.addEventListener("pointerleave", () => onPoint(null));
    this.canvas.addEventListener("blur", () => onPoint(null));
    this.canvas.addEventListener("keydown", (event) => {
      const step = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
      if (step) onPoint(null, step);
      else if (event.key === "Escape") onPoint(null);
    });
  }

  draw(samples, span, cursor, colours) {
    const shown = samples[cursor ?? samples.length - 1];
    this.about.series.forEach(([name, read], place) => {
      const text = shown ? this.about.write(read(shown)) : "–";
      put(this.values[place], place ? `${text} ${name}` : text);
    });
    this.canvas.setAttribute("aria-label", `${this.about.title}: ${this.values.map((node) => node.textContent).join(", ")}`);
    this.#paint(samples, span, cursor, colours);
  }

  #paint(samples, span, cursor, colours) {
    const { clientWidth: width, clientHeight: height } = this.canvas;
    const scale = window.devicePixelRatio || 1;
    if (this.canvas.width !== Math.round(width * scale) || this.canvas.height !== Math.round(height * scale)) {
      this.canvas.width = Math.round(width * scale);
      this.canvas.height = Math.round(height * scale);
    }
    const ink = this.canvas.getContext("2d");
    ink.setTransform(scale, 0, 0, scale, 0, 0);
    ink.clearRect(0, 0, width, height);
    const highest = Math.max(0, ...samples.flatMap((sample) => this.about.series.map(([, read]) => read(sample) ?? 0)));
    const top = highest > 0 ? niceMax(highest) : 1;
    put(this.peak, highest > 0 ? `peak ${this.about.write(highest)}` : "");
    const x = (place) => width - ((samples.length - 1 - place) / (span - 1)) * width;
    const y = (value) => height - 1 - (value / top) * (height - 1 - PADDING);
    ink.fillStyle = colours.rule;
    ink.fillRect(0, height - 1, width, 1);
    for (const [, read, colour] of [...this.about.series].reverse()) this.#line(ink, samples, read, x, y, height, colours[colour], colour === "accent");
    if (cursor == null || !samples[cursor]) return;
    ink.fillStyle = colours.ink;
    ink.fillRect(Math.round(x(cursor)) - 0.5, 0, 1, height);
  }

  #line(ink, samples, read, x, y, height, colour, filled) {
    ink.strokeStyle = ink.fillStyle = colour;
    ink.lineWidth = 1.5;
    ink.lineJoin = "round";
    let run = [];
    const finish = () => {
      if (run.length === 1) ink.fillRect(run[0][0] - 1, run[0][1] - 1, 2, 2); // a second alone would be no line
      if (run.length > 1) {
        ink.beginPath();
        run.forEach(([px, py], place) => (place ? ink.lineTo(px, py) : ink.moveTo(px, py)));
        ink.stroke();
        if (filled) {
          ink.lineTo(run.at(-1)[0], height - 1);
          ink.lineTo(run[0][0], height - 1);
          ink.globalAlpha = 0.12;
          ink.fill();
          ink.globalAlpha = 1;
        }
      }
      run = [];
    };
    samples.forEach((sample, place) => {
      const value = read(sample);
      if (value == null) finish();
      else run.push([x(place), y(value)]);
    });
    finish();
  }
}

export class Charts {
  #timelines = new Timelines();
  #picked = ""; // whose samples are drawn; empty for all processes together
  #samples = [];
  #cursor = null; // a sample's time: the place moves with each new one
  #charts = CHARTS.map((about) => new Chart(about, (part, step) => this.#point(part, step)));

  constructor(parent) {
    parent.append(...this.#charts.map(({ node }) => node));
    new ResizeObserver(() => this.draw()).observe(parent);
  }

  /** Forget what other processes did. */
  reset(about) {
    this.#timelines.reset(about);
    this.#samples = [];
    this.#cursor = null;
  }

  pick(process) {
    this.#picked = process;
    this.#samples = this.#timelines.of(process);
    this.draw();
  }

  add(processes) {
    this.#timelines.add(processes);
    this.pick(this.#picked);
  }

  #point(part, step = 0) {
    const last = this.#samples.length - 1;
    const place = step ? (this.#place() ?? last) + step : part == null ? null : Math.round(last - (1 - part) * (this.#span - 1));
    this.#cursor = place == null ? null : (this.#samples[Math.min(Math.max(place, 0), last)]?.at ?? null);
    this.draw();
  }

  get #span() {
    return Math.min(Math.max(this.#samples.length, SHORTEST), this.#timelines.kept);
  }

  #place() {
    const found = this.#cursor == null ? -1 : this.#samples.findIndex(({ at }) => at >= this.#cursor);
    return found < 0 ? null : found;
  }

  draw() {
    const style = getComputedStyle(document.documentElement);
    const colours = Object.fromEntries(["accent", "good", "warn", "bad", "soft", "rule", "ink"].map((name) => [name, style.getPropertyValue(`--${name}`)]));
    const cursor = this.#place();
    const seconds = this.#span * this.#timelines.interval;
    put($("moment"), cursor == null ? `The last ${seconds < 100 ? `${seconds} s` : `${Math.round(seconds / 60)} min`}` : `At ${clock(this.#samples[cursor].at)}`);
    for (const chart of this.#charts) chart.draw(this.#samples, this.#span, cursor, colours);
  }
}
