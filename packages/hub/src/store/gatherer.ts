import { BackplaneError, type Position, type PublishOptions } from "../backplane.ts";

/** One publication of a batch. */
export interface Gathered {
  readonly data: Uint8Array;
  readonly options: PublishOptions;
}

export interface GathererOptions {
  /**
   * Stores a batch in its order, and resolves with a position for each; all of it carries one retention, or none, and no key twice. Rejects when some of it is not stored,
   * or perhaps not, in `within` milliseconds at most. Nothing of what it rejects may be stored by a later attempt of its own.
   */
  readonly send: (
    channel: string,
    batch: readonly Gathered[],
    within: number,
  ) => Promise<readonly (Position | undefined)[]>;
  /** Of one batch: a longer one holds up others. */
  readonly most: { readonly publications: number; readonly bytes: number };
  /** Bytes that may wait or be under way; what is beyond is refused. */
  readonly mostBytes: number;
  /** Milliseconds until a publication is settled, waiting included. */
  readonly deadline: number;
  /** Milliseconds, increasing. */
  readonly now: () => number;
  /** Calls back when what happens together has happened. */
  readonly soon: (run: () => void) => void;
}

interface Waiting extends Gathered {
  readonly since: number;
  readonly resolve: (position: Position | undefined) => void;
  readonly reject: (error: unknown) => void;
}

/**
 * Sends what is published to a channel in batches: one batch of a channel is under way at a time, and what comes meanwhile goes together in the next.
 * So publications are stored in call order whatever becomes of a call on its way, and where one fails, its line ends there: `can.ordered`.
 */
export class Gatherer {
  readonly #options: GathererOptions;
  /** What waits, of each channel that has something waiting or under way. */
  readonly #queues = new Map<string, Waiting[]>();
  readonly #ready = new Set<string>();
  #bytes = 0;

  constructor(options: GathererOptions) {
    this.#options = options;
  }

  publish(channel: string, data: Uint8Array, options: PublishOptions): Promise<Position | undefined> {
    return new Promise((resolve, reject) => {
      const waiting = { data, options, since: this.#options.now(), resolve, reject };
      this.#bytes += data.byteLength;
      if (this.#bytes > this.#options.mostBytes) {
        this.#fail(waiting, new BackplaneError("notStored", "too many publications wait: publish slower, or later"));
        return;
      }
      const queue = this.#queues.get(channel);
      if (queue !== undefined) {
        queue.push(waiting);
        return;
      }
      this.#queues.set(channel, [waiting]);
      this.#sendSoon(channel);
    });
  }

  #sendSoon(channel: string): void {
    this.#ready.add(channel);
    if (this.#ready.size > 1) return;
    this.#options.soon(() => {
      const channels = [...this.#ready];
      this.#ready.clear();
      for (const ready of channels) void this.#send(ready);
    });
  }

  async #send(channel: string): Promise<void> {
    const queue = this.#queues.get(channel) ?? [];
    const { batch, within } = this.#take(queue);
    if (batch.length > 0) {
      try {
        const positions = await this.#options.send(channel, batch, within);
        let place = 0;
        for (const { data, resolve } of batch) {
          this.#bytes -= data.byteLength;
          resolve(positions[place++]);
        }
      } catch (error) {
        for (const waiting of batch) this.#fail(waiting, error);
      }
    }
    if (queue.length === 0) this.#queues.delete(channel);
    else this.#sendSoon(channel);
  }

  /** The next batch; what must not be stored any more is rejected. */
  #take(queue: Waiting[]): { batch: Waiting[]; within: number } {
    const { most, deadline, now } = this.#options;
    const batch: Waiting[] = [];
    let keys: Set<string> | undefined;
    let [bytes, taken] = [0, 0];
    // The oldest comes first: its time is the batch's. With less than a tenth of it left, `notStored` is a better answer than perhaps `unknown`.
    const oldest = now() - deadline;
    const tooOld = oldest + deadline / 10;
    for (const waiting of queue) {
      const { data, options } = waiting;
      const { retention, key, line } = options;
      if (line?.failed === true || waiting.since <= tooOld) {
        const why = line?.failed === true ? "an earlier publication failed" : `it waited for ${deadline * 0.9} ms`;
        this.#fail(waiting, new BackplaneError("notStored", why));
        taken++;
        continue;
      }
      bytes += data.byteLength;
      const [first] = batch;
      if (first !== undefined) {
        if (batch.length === most.publications || bytes > most.bytes) break;
        if (!isSame(first.options.retention, retention)) break;
      }
      if (key !== undefined) {
        keys ??= new Set();
        if (keys.has(key)) break;
        keys.add(key);
      }
      batch.push(waiting);
      taken++;
    }
    if (taken === queue.length) queue.length = 0;
    else queue.splice(0, taken);
    return { batch, within: (batch[0]?.since ?? 0) - oldest };
  }

  /** The line is marked first: who hears of it may publish again at once. */
  #fail({ data, options, reject }: Waiting, error: unknown): void {
    this.#bytes -= data.byteLength;
    if (options.line !== undefined) options.line.failed = true;
    reject(error);
  }
}

function isSame(a: PublishOptions["retention"], b: PublishOptions["retention"]): boolean {
  return a === b || (a?.size === b?.size && a?.ttl === b?.ttl && a?.bytes === b?.bytes);
}
