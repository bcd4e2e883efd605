import type { Clock, LossReason } from "@zuruf/protocol";
import type { Backplane, HistoryPage, Item, Position } from "./backplane.ts";
import { Batch } from "./batch.ts";
import type { ResolvedOptions } from "./channel-options.ts";
import { decodeEnvelope } from "./envelope.ts";
import { describe, type Log } from "./errors.ts";
import { Publication } from "./publication.ts";
import { follow } from "./recovery.ts";
import { Sequencer } from "./sequencer.ts";
import type { Subscription } from "./subscription.ts";

/** Publications read from the store at once. */
const pageSize = 128;
/** Publications kept that arrive between the subscription and the head; what is beyond comes from the store. */
const maxEarly = 1024;
/** Bytes of publications that go out together at most. */
const maxBatch = 65_536;
/** Before the store is asked again when it failed, and when it had nothing new. */
const retryAfterFailure = 1000;
const retryWhenEmpty = 100;

/** What a channel needs of its hub. */
export interface ChannelContext {
  readonly backplane: Backplane;
  readonly clock: Clock;
  readonly log: Log;
  readonly counters: { delivered: number; malformed: number; restarted: number; gaps: number };
}

/** A page of the log as it is sent to those who recover. */
export interface Page {
  readonly publications: readonly Publication[];
  readonly head: Position;
  /** Set: what came after the position cannot be had any more. */
  readonly reason: LossReason | undefined;
  /** There is more before the head. */
  readonly more: boolean;
}

/** One channel that this instance is interested in: its subscribers here, and everything that reaches them in order. */
export class Channel {
  readonly name: string;
  readonly options: ResolvedOptions;
  /** Subscriptions, live or not, and who else needs the channel open. */
  users = 0;
  /** When `users` became 0. */
  idleSince = 0;
  readonly #context: ChannelContext;
  /** Those that follow the cursor; the others are still on their way to it. */
  readonly #live = new Set<Subscription>();
  /** Up to the cursor, and not sent to the live subscribers yet. */
  #batch: Publication[] = [];
  #batchBytes = 0;
  #sequencer: Sequencer | undefined;
  #early: Item[] = [];
  #filling: Promise<void> | undefined;
  #retry: unknown;
  readonly #reading = new Map<string, Promise<Page>>();
  #closed = false;

  constructor(name: string, options: ResolvedOptions, context: ChannelContext) {
    this.name = name;
    this.options = options;
    this.#context = context;
  }

  /** How many follow the cursor. */
  get subscribers(): number {
    return this.#live.size;
  }

  /** Where all live subscribers are; undefined without history, and before `opened`. */
  get cursor(): Position | undefined {
    return this.#sequencer?.cursor;
  }

  /** The relay is live; `head` (with history) was read after that. */
  opened(head: Position | undefined): void {
    if (head !== undefined) {
      // `latest` and `volatile` lose by design, so a hole is nothing to fetch.
      const gapsShow = this.#context.backplane.can.contiguous ? "byOffset" : "byPrevious";
      this.#sequencer = new Sequencer(head, this.options.delivery === "stream" ? gapsShow : "never", {
        deliver: (item) => {
          this.#deliver(item);
        },
        moved: (position) => {
          this.#flush();
          for (const subscription of this.#live) subscription.moved(position);
        },
        lost: (position, reason, cursor) => {
          this.#flush();
          for (const subscription of this.#live) {
            // Who recovered ahead of the relay may have what the others lost: it asks for itself.
            if (subscription.offset > cursor.offset) {
              this.#live.delete(subscription);
              follow(subscription, this);
            } else {
              this.#context.counters.restarted++;
              subscription.restarted(position, reason);
            }
          }
        },
      });
    }
    const early = this.#early;
    this.#early = [];
    for (const item of early) this.arrived(item);
  }

  close(): void {
    this.#closed = true;
    this.#context.clock.clearTimeout(this.#retry);
  }

  /** From now on the subscription gets everything after the cursor, unless what it was just sent has ended it. */
  join(subscription: Subscription): void {
    this.#flush();
    if (!subscription.ended) this.#live.add(subscription);
  }

  leave(subscription: Subscription): void {
    this.#flush();
    this.#live.delete(subscription);
  }

  /** A publication from the relay. */
  arrived(item: Item): void {
    if (this.options.retention === undefined) {
      this.#deliver(item);
    } else if (this.#sequencer === undefined) {
      // Not opened yet: the head will tell which of these are after it. What is too much to keep is a gap, and fetched.
      if (this.#early.length < maxEarly) this.#early.push(item);
    } else {
      this.#sequencer.arrived(item);
      if (this.#sequencer.behind) void this.#fill();
    }
  }

  /** The store's head, and what the cursor was when it was asked for. */
  checked(head: Position, asked: Position): void {
    this.#sequencer?.checked(head, asked);
    if (this.#sequencer?.behind === true) void this.#fill();
  }

  /** Resolves when the cursor has been checked against the store. */
  async verify(): Promise<void> {
    this.#sequencer?.doubt();
    await this.#fill();
  }

  /** What came after a position. Many who come back from the same place, as after a deploy, share one read and its encoding. */
  readAfter(after: Position): Promise<Page> {
    const key = `${after.offset} ${after.epoch}`;
    const reading = this.#reading.get(key);
    if (reading !== undefined) return reading;
    const page = this.#readOnce(key, after);
    this.#reading.set(key, page);
    return page;
  }

  async #readOnce(key: string, after: Position): Promise<Page> {
    try {
      return this.#decode(await this.#context.backplane.history(this.name, { after, limit: pageSize }));
    } finally {
      this.#reading.delete(key);
    }
  }

  /** The newest publication. */
  async readNewest(): Promise<Page> {
    return this.#decode(await this.#context.backplane.history(this.name, { limit: 1 }));
  }

  pause(ms: number): Promise<void> {
    return new Promise((resolve) => {
      this.#context.clock.setTimeout(resolve, ms);
    });
  }

  #decode(page: HistoryPage): Page {
    const publications = page.items.map((item) => this.#publication(item)).filter((it) => it !== undefined);
    const reason = page.complete ? undefined : (page.reason ?? "retention");
    return { publications, head: page.head, reason, more: page.items.length === pageSize };
  }

  #publication(item: Item): Publication | undefined {
    const parts = decodeEnvelope(item.data);
    if (parts !== undefined) return new Publication(this.name, item, parts.info, parts.payload);
    this.#context.counters.malformed++;
    this.#context.log("error", "a publication from the backplane is malformed and was dropped", {
      channel: this.name,
      offset: item.offset,
    });
    return undefined;
  }

  #deliver(item: Item): void {
    const publication = this.#publication(item);
    if (publication === undefined) return;
    if (this.#batchBytes + item.data.length > maxBatch) this.#flush();
    this.#batchBytes += item.data.length;
    // With all that the same read of the backplane, or of a client, brings.
    if (this.#batch.push(publication) === 1) queueMicrotask(this.#flushInTurn);
  }

  readonly #flushInTurn = (): void => {
    try {
      this.#flush();
    } catch (error) {
      this.#context.log("error", "delivering publications failed", { channel: this.name, error: describe(error) });
    }
  };

  /** Whoever changes who is live, or tells the live something, does so after this. */
  #flush(): void {
    if (this.#batch.length === 0) return;
    const batch = new Batch(this.#batch);
    this.#batch = [];
    this.#batchBytes = 0;
    for (const subscription of this.#live) subscription.deliverAll(batch);
    this.#context.counters.delivered += batch.publications.length * this.#live.size;
  }

  /** Reads the store until nothing is missing. One at a time; failures are retried for as long as the channel is open. */
  #fill(): Promise<void> {
    const sequencer = this.#sequencer;
    if (sequencer === undefined || this.#closed) return Promise.resolve();
    this.#context.clock.clearTimeout(this.#retry);
    this.#filling ??= this.#fillOnce(sequencer);
    return this.#filling;
  }

  async #fillOnce(sequencer: Sequencer): Promise<void> {
    let again = 0;
    try {
      again = await this.#read(sequencer);
    } catch (error) {
      this.#context.log("warn", "the store could not be read; it will be tried again", {
        channel: this.name,
        error: describe(error),
      });
      again = retryAfterFailure;
    }
    this.#filling = undefined;
    // What opened a gap while this was ending found it still running.
    if (again === 0 && sequencer.behind) void this.#fill();
    if (again > 0 && !this.#closed) this.#retry = this.#context.clock.setTimeout(() => void this.#fill(), again);
  }

  /** Milliseconds after which to try again; 0: done. */
  async #read(sequencer: Sequencer): Promise<number> {
    for (;;) {
      const after = sequencer.ask();
      const page = await this.#page(after);
      if (this.#closed) return 0;
      const more = sequencer.filled(page, after);
      this.#context.counters.gaps += page.items.length;
      if (!more) return 0;
      // A store that knows less than the relay told will know it soon.
      if (page.complete && page.items.length === 0) return retryWhenEmpty;
    }
  }

  async #page(after: Position): Promise<HistoryPage> {
    const { backplane } = this.#context;
    if (this.options.delivery === "stream") return backplane.history(this.name, { after, limit: pageSize });
    // Only the newest counts; a head below the cursor means that the store was rolled back.
    const page = await backplane.history(this.name, { limit: 1 });
    if (page.head.offset >= after.offset) return page;
    return { items: [], head: page.head, complete: false, reason: "rollback" satisfies LossReason };
  }
}
