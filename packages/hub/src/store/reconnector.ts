/** Milliseconds between attempts to connect: doubling, with full jitter, because all instances lose the same broker at the same time. */
const backoff = { first: 50, most: 2000 };

export interface ReconnectorEvents {
  up(): void;
  /** @param silentFor as `BackplaneSink.down` has it. */
  down(reason: string, silentFor?: number): void;
}

/** Keeps a connection: makes it, and makes it again when it broke, until it is closed. Says `up` and `down` in turns. */
export class Reconnector {
  readonly #connect: () => Promise<void>;
  readonly #events: ReconnectorEvents;
  #up = false;
  #closed = false;
  #repairing = false;
  #wake: (() => void) | undefined;

  /** @param connect makes a new connection; rejects when it cannot. */
  constructor(connect: () => Promise<void>, events: ReconnectorEvents) {
    this.#connect = connect;
    this.#events = events;
  }

  get up(): boolean {
    return this.#up;
  }
  get closed(): boolean {
    return this.#closed;
  }

  /** The first connection: one attempt, whose failure is the caller's to report. */
  async start(): Promise<void> {
    await this.#connect();
    if (this.#closed) return;
    this.#up = true;
    this.#events.up();
  }

  /** The connection is of no use any more. */
  broken(reason: string, silentFor?: number): void {
    if (this.#closed || !this.#up) return;
    this.#up = false;
    this.#events.down(reason, silentFor);
    void this.#repair();
  }

  async #repair(): Promise<void> {
    if (this.#repairing) return;
    this.#repairing = true;
    let wait = backoff.first;
    while (!this.#closed && !this.#up) {
      await this.#pause(Math.random() * wait);
      wait = Math.min(wait * 2, backoff.most);
      if (this.#closed) break;
      try {
        await this.#connect();
      } catch {
        // It was said that it is down; why it still is, is no news. Another attempt follows.
        continue;
      }
      if (this.#closed) break;
      this.#up = true;
      this.#events.up();
    }
    this.#repairing = false;
  }

  #pause(ms: number): Promise<void> {
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, ms);
      this.#wake = () => {
        clearTimeout(timer);
        resolve();
      };
    });
  }

  close(): void {
    this.#closed = true;
    this.#up = false;
    this.#wake?.();
  }
}
