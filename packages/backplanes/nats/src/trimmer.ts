import type { Retention } from "@zuruf/hub";
import type { Log } from "./log.ts";
import type { JetStream } from "./jetstream.ts";
import type { Subjects } from "./subjects.ts";

/** Milliseconds between looks at what has grown old. */
const lookEvery = 1000;
/** Channels trimmed in one look; the others follow in the next. */
const mostPerLook = 200;
/** Marks of an age that are kept per channel: so many parts of its ttl an old publication may stay longer. */
const marks = 8;
/** Milliseconds without publications after which what is over the count goes at once. */
const quiet = 2000;

/** The store over one connection. */
export interface Store {
  readonly log: Log;
  readonly jetstream: JetStream;
}

/** What this instance published to a channel. */
interface Grown {
  retention: Retention;
  /** Publications and bytes since the channel was last trimmed by them. */
  count: number;
  bytes: number;
  /** Some publications and when they were made, oldest first. */
  readonly marks: { readonly seq: number; readonly time: number }[];
  last: { readonly seq: number; readonly time: number };
  trimming: boolean;
}

/**
 * Trims what this instance published: JetStream has one limit for all channels, and Zuruf one for each. By count now and then, with one request; by bytes after
 * reading the sizes; by age every second. What an instance that died left over is trimmed by the next one that publishes there or asks for its head; the stream's
 * own age limit is the last.
 */
export class Trimmer {
  readonly #store: () => Store | undefined;
  readonly #subjects: Subjects;
  readonly #grown = new Map<string, Grown>();
  #timer: ReturnType<typeof setInterval> | undefined;

  /** @param store the store now; undefined while there is none. */
  constructor(subjects: Subjects, store: () => Store | undefined) {
    this.#store = store;
    this.#subjects = subjects;
  }

  start(): void {
    this.#timer ??= setInterval(() => this.#look(), lookEvery).unref();
  }

  /** What was published before counts no more: its sequences may be given out again. */
  forget(): void {
    this.#grown.clear();
  }

  close(): void {
    clearInterval(this.#timer);
    this.#grown.clear();
  }

  published(channel: string, seq: number, bytes: number, retention: Retention): void {
    const time = performance.now();
    let grown = this.#grown.get(channel);
    if (grown === undefined) {
      grown = { retention, count: 0, bytes: 0, marks: [], last: { seq, time }, trimming: false };
      this.#grown.set(channel, grown);
    }
    grown.retention = retention;
    grown.count++;
    grown.bytes += bytes;
    if (seq > grown.last.seq) grown.last = { seq, time };
    if (time - (grown.marks.at(-1)?.time ?? 0) > retention.ttl / marks) grown.marks.push({ seq, time });
    if (retention.bytes > 0 && grown.bytes > retention.bytes / 4)
      this.#run(grown, (store) => this.#byBytes(store, channel, grown));
    else if (grown.count > Math.max(8, retention.size / 8))
      this.#run(grown, (store) => this.#byCount(store, channel, grown));
  }

  #run(grown: Grown, trim: (store: Store) => Promise<void>): void {
    const store = this.#store();
    if (grown.trimming || store === undefined) return;
    grown.trimming = true;
    trim(store)
      // Nothing depends on it now, and it is tried again; a connection that is of no use says so elsewhere.
      .catch(() => undefined)
      .finally(() => {
        grown.trimming = false;
      });
  }

  async #byBytes({ log }: Store, channel: string, grown: Grown): Promise<void> {
    grown.bytes = 0;
    await log.trim(channel);
  }

  async #byCount({ jetstream }: Store, channel: string, grown: Grown): Promise<void> {
    grown.count = 0;
    // One more than it must: the position before the oldest that is kept.
    await jetstream.purge(this.#subjects.log(channel), { keep: grown.retention.size + 1 });
  }

  #look(): void {
    const now = performance.now();
    let left = mostPerLook;
    for (const [channel, grown] of this.#grown) {
      if (left === 0) return;
      if (grown.trimming) continue;
      const { retention, last } = grown;
      const oldest = now - retention.ttl;
      if (last.time < oldest) {
        left--;
        this.#run(grown, async ({ log }) => {
          await log.mark(channel, { seq: last.seq, head: undefined });
          if (grown.last === last) this.#grown.delete(channel);
        });
      } else if ((grown.marks[1]?.time ?? now) < oldest) {
        left--;
        while ((grown.marks[1]?.time ?? now) < oldest) grown.marks.shift();
        const { seq } = grown.marks[0] ?? last;
        this.#run(grown, ({ jetstream }) => jetstream.purge(this.#subjects.log(channel), { seq }));
      } else if (grown.count > 0 && grown.count + 1 > retention.size && now - last.time > quiet) {
        left--;
        this.#run(grown, (store) => this.#byCount(store, channel, grown));
      }
    }
  }
}
