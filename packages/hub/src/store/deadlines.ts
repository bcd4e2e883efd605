/** Rejects what takes too long. One timer serves all: nearly everything is settled long before it fires. */
export class Deadlines {
  readonly #ms: number;
  readonly #waiting = new Set<{ readonly end: number; readonly expire: () => void }>();
  #timer: ReturnType<typeof setTimeout> | undefined;
  #fires = 0;
  constructor(ms: number) {
    this.#ms = ms;
  }

  get ms(): number {
    return this.#ms;
  }

  /** Settles as `promise` does, or rejects with `late()` when its time is over (`ms` unless told); what it does after that is ignored. */
  limit<T>(promise: Promise<T>, late: () => Error, within: number = this.#ms): Promise<T> {
    return new Promise((resolve, reject) => {
      const end = performance.now() + within;
      const entry = { end, expire: () => reject(late()) };
      this.#waiting.add(entry);
      if (this.#timer === undefined || end < this.#fires) this.#sweepAt(end);
      promise.finally(() => this.#waiting.delete(entry)).then(resolve, reject);
    });
  }

  #sweepAt(end: number): void {
    clearTimeout(this.#timer);
    this.#fires = end;
    this.#timer = setTimeout(this.#sweep, Math.max(end - performance.now(), 20));
  }

  readonly #sweep = (): void => {
    this.#timer = undefined;
    const now = performance.now();
    let next = Number.POSITIVE_INFINITY;
    for (const entry of this.#waiting) {
      if (entry.end > now) {
        next = Math.min(next, entry.end);
        continue;
      }
      this.#waiting.delete(entry);
      entry.expire();
    }
    if (next < Number.POSITIVE_INFINITY) this.#sweepAt(next);
  };

  /** Stops the timer; what still waits is left to its own. */
  close(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
  }
}
