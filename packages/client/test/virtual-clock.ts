import type { Clock, Timer } from "@zuruf/protocol";

interface Entry {
  readonly at: number;
  readonly run: () => void;
}

/** Time that passes only when told to; timers run in order, promises settle between them. */
export class VirtualClock implements Clock {
  /** What the wall clock shows. */
  #now = 1_000_000;
  /** What timers go by. */
  #monotonic = 0;
  readonly #timers = new Set<Entry>();

  now(): number {
    return this.#now;
  }

  setTimeout(run: () => void, ms: number): Timer {
    const entry = { at: this.#monotonic + Math.max(0, ms), run };
    this.#timers.add(entry);
    return entry;
  }

  clearTimeout(timer: Timer): void {
    this.#timers.delete(timer as Entry);
  }

  get timers(): number {
    return this.#timers.size;
  }

  async advance(ms: number): Promise<void> {
    const end = this.#monotonic + ms;
    await settled();
    for (;;) {
      const next = [...this.#timers].filter(({ at }) => at <= end).sort((a, b) => a.at - b.at)[0];
      if (next === undefined) break;
      this.#timers.delete(next);
      this.#pass(Math.max(0, next.at - this.#monotonic));
      next.run();
      await settled();
    }
    this.#pass(end - this.#monotonic);
  }

  /** Time passes, but no timer runs: the machine sleeps. */
  sleep(ms: number): void {
    this.#pass(ms);
  }

  /** Somebody sets the wall clock. */
  set(by: number): void {
    this.#now += by;
  }

  #pass(ms: number): void {
    this.#now += ms;
    this.#monotonic += ms;
  }
}

/** All promises that could settle have. */
export async function settled(): Promise<void> {
  for (let turn = 0; turn < 3; turn++) await new Promise((resolve) => void setImmediate(resolve));
}
