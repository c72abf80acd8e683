/** The samples of each process, and those of all together: sums of levels and rates, the longest and the mean of times. */
const CARRIED = 2; // intervals for which a process's last sample stands for the next, as their clocks differ

const TIMES = ["fanout", "fanout_hold", "heartbeat_round_trip", "confirmation", "broker"];

function together(samples, at) {
  const sum = { at };
  for (const name of Object.keys(samples[0])) {
    if (name === "at" || TIMES.includes(name)) continue;
    sum[name] = samples.reduce((total, sample) => total + (sample[name] ?? 0), 0);
  }
  for (const name of TIMES) {
    const times = samples.map((sample) => sample[name]).filter(Boolean);
    const all = times.reduce((total, time) => total + time.count, 0);
    sum[name] = all ? { count: all, mean: times.reduce((total, time) => total + time.mean * time.count, 0) / all, longest: Math.max(...times.map(({ longest }) => longest)) } : null;
  }
  return sum;
}

export class Timelines {
  #kept = 300;
  interval = 1;
  #of = new Map(); // by the id of the process

  get kept() {
    return this.#kept;
  }

  /** Forget all. */
  reset({ kept, interval }) {
    this.#kept = kept;
    this.interval = interval;
    this.#of.clear();
  }

  /** Take what is new of each process; what is known already may come again, on a new line. */
  add(processes) {
    for (const { id, samples } of processes) {
      const known = this.#of.get(id) ?? [];
      const last = known.at(-1)?.at ?? 0;
      known.push(...samples.filter(({ at }) => at > last));
      known.splice(0, known.length - this.#kept);
      if (known.length) this.#of.set(id, known);
    }
    const now = Math.max(...[...this.#of.values()].map((samples) => samples.at(-1).at));
    for (const [id, samples] of this.#of) {
      if (samples.at(-1).at < now - this.#kept * this.interval) this.#of.delete(id); // it ended long ago
    }
  }

  /** The samples of a process, or with an empty id of all. */
  of(id) {
    if (id) return this.#of.get(id) ?? [];
    if (this.#of.size < 2) return [...this.#of.values()][0] ?? [];
    return this.#merged();
  }

  #merged() {
    const place = ({ at }) => Math.round(at / this.interval);
    const all = [...this.#of.values()];
    const last = Math.max(...all.map((samples) => place(samples.at(-1))));
    const first = Math.max(Math.min(...all.map((samples) => place(samples[0]))), last - this.#kept + 1);
    const next = all.map(() => 0);
    const merged = [];
    for (let at = first; at <= last; at++) {
      const found = [];
      all.forEach((samples, process) => {
        while (next[process] < samples.length && place(samples[next[process]]) <= at) next[process]++;
        const sample = samples[next[process] - 1];
        if (sample && place(sample) >= at - CARRIED) found.push(sample);
      });
      if (found.length) merged.push(together(found, at * this.interval));
    }
    return merged;
  }
}
