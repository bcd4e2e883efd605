/** Milliseconds; what ends at about the same time is looked through together. */
const leastWait = 20;
/** Turns of the event loop before anything is given up: each reads all sockets, and a driver may need more than one to tell of an answer. */
const turns = 3;

/** Whatever speaks TCP with a broker has it: Node, Bun and Deno. A timer of no length may fire again before any socket is read. */
declare function setImmediate(run: () => void): unknown;

/** What must be over in time. */
export interface Expiring {
  /** Called once, when it was not. */
  expire(): void;
}

/**
 * Ends what takes too long. One timer serves all: nearly everything is settled long before it fires.
 * Then what has come is read before anything is given up: the process itself may have stood still.
 */
export class Deadlines {
  readonly #ms: number;
  /** With the time at which each of them ends. */
  readonly #waiting = new Map<Expiring, number>();
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
    this.#timer = setTimeout(() => this.#sweep(performance.now(), turns), Math.max(end - performance.now(), leastWait));
  }

  #sweep(now: number, turnsLeft: number): void {
    // Closed meanwhile.
    if (this.#timer === undefined) return;
    if (turnsLeft > 0) {
      setImmediate(() => this.#sweep(now, turnsLeft - 1));
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
    this.#timer = undefined;
    if (next < Number.POSITIVE_INFINITY) this.#sweepAt(next);
  }

  /** Stops the timer; what still waits is left to its own. */
  close(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
  }
}
