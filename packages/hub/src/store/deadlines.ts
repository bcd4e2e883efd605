/** Rejects what takes too long. All calls have the same time, so those waiting are in the order of their ends, and one timer serves all. */
export class Deadlines {
  readonly #ms: number;
  readonly #waiting = new Set<{ readonly end: number; readonly expire: () => void }>();
  #timer: ReturnType<typeof setTimeout> | undefined;
  constructor(ms: number) {
    this.#ms = ms;
  }

  get ms(): number {
    return this.#ms;
  }

  /** Settles as `promise` does, or rejects with `late()` when its time is over; what it does after that is ignored. */
  limit<T>(promise: Promise<T>, late: () => Error): Promise<T> {
    return new Promise((resolve, reject) => {
      const entry = { end: performance.now() + this.#ms, expire: () => reject(late()) };
      this.#waiting.add(entry);
      this.#timer ??= setTimeout(this.#sweep, this.#ms);
      promise.finally(() => this.#waiting.delete(entry)).then(resolve, reject);
    });
  }

  readonly #sweep = (): void => {
    this.#timer = undefined;
    const now = performance.now();
    for (const entry of this.#waiting) {
      if (entry.end > now) {
        this.#timer = setTimeout(this.#sweep, Math.max(entry.end - now, 20));
        return;
      }
      this.#waiting.delete(entry);
      entry.expire();
    }
  };

  /** Stops the timer; what still waits is left to its own. */
  close(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
  }
}
