/** Milliseconds by which a timer may be late; beyond, the process itself stood still. */
const mostLate = 50;
const lookAgainAfter = 20;

/** What must be over in time. */
export interface Expiring {
  /** Called once, when it was not. */
  expire(): void;
}

/**
 * Ends what takes too long. One timer serves all: nearly everything is settled long before it fires.
 * When the process itself stood still, what came meanwhile is read before anything is given up.
 */
export class Deadlines {
  readonly #ms: number;
  /** With the time at which each of them ends. */
  readonly #waiting = new Map<Expiring, number>();
  #timer: ReturnType<typeof setTimeout> | undefined;
  #fires = 0;
  #excused = false;
  constructor(ms: number) {
    this.#ms = ms;
  }

  get ms(): number {
    return this.#ms;
  }

  /** Settles as `promise` does, or rejects with `late()` when its time is over (`ms` unless told); what it does after that is ignored. */
  limit<T>(promise: Promise<T>, late: () => Error, within: number = this.#ms): Promise<T> {
    return new Promise((resolve, reject) => {
      const expiring = { expire: () => reject(late()) };
      this.add(expiring, within);
      promise.finally(() => this.delete(expiring)).then(resolve, reject);
    });
  }

  /** Expires this after `within` milliseconds (`ms` unless told), unless it is deleted by then: what `limit` does, without a promise for each. */
  add(expiring: Expiring, within: number = this.#ms): void {
    const end = performance.now() + within;
    this.#waiting.set(expiring, end);
    if (this.#timer === undefined || end < this.#fires) this.#sweepAt(end);
  }

  delete(expiring: Expiring): void {
    this.#waiting.delete(expiring);
  }

  #sweepAt(end: number): void {
    clearTimeout(this.#timer);
    this.#fires = end;
    this.#timer = setTimeout(this.#sweep, Math.max(end - performance.now(), lookAgainAfter));
  }

  readonly #sweep = (): void => {
    this.#timer = undefined;
    const now = performance.now();
    // Once in a row, so that a process that is always late has deadlines, too.
    this.#excused = !this.#excused && now - this.#fires > mostLate;
    if (this.#excused) {
      this.#sweepAt(now);
      return;
    }
    let next = Number.POSITIVE_INFINITY;
    for (const [expiring, end] of this.#waiting) {
      if (end > now) {
        next = Math.min(next, end);
        continue;
      }
      this.#waiting.delete(expiring);
      expiring.expire();
    }
    if (next < Number.POSITIVE_INFINITY) this.#sweepAt(next);
  };

  /** Stops the timer; what still waits is left to its own. */
  close(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
  }
}
