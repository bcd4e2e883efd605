import { setTimeout as delay } from "node:timers/promises";
import type { Retention } from "@zuruf/hub";
import type { Extent } from "./entry.ts";
import type { Log } from "./log.ts";
import type { Appended } from "./writer.ts";

/** Milliseconds between looks at what may go. */
const lookEvery = 1000;
/** Parts of what is kept, by which it is trimmed: so much more may be there. */
const parts = 8;
/** Marks that are kept per channel; beyond, every other one goes. */
const mostMarks = 64;
/** Times as long as a removal took nothing is removed after it: meanwhile JetStream takes no publications, of any channel. */
const rest = 4;

/** What is trimmed. */
export type Trimmed = Pick<Log, "mark" | "trim">;

/** Where a log ended at a time. */
interface Mark {
  readonly seq: number;
  readonly extent: Extent;
  readonly time: number;
}

/** What this instance published to a channel. */
interface Grown {
  retention: Retention;
  /** Some ends, oldest first: what is before one of them goes together. */
  marks: Mark[];
  last: Mark;
  trimmed: number;
}

/**
 * Trims logs to which this instance publishes: JetStream has one limit for all channels, and Zuruf one for each. What nobody can read any more goes, but not before
 * the keys of idempotency in it are too old, one channel after the other. What an instance that died left over is trimmed by the next one that publishes there or
 * asks for its head; the stream's own limits are the last.
 */
export class Trimmer {
  readonly #log: () => Trimmed | undefined;
  readonly #keyWindow: number;
  readonly #grown = new Map<string, Grown>();
  #timer: ReturnType<typeof setInterval> | undefined;
  #looking = false;

  /** @param keyWindow milliseconds for which all is kept. @param log the logs now; undefined while there are none. */
  constructor(keyWindow: number, log: () => Trimmed | undefined) {
    this.#log = log;
    this.#keyWindow = keyWindow;
  }

  start(): void {
    this.#timer ??= setInterval(() => void this.look(), lookEvery).unref();
  }

  /** What was published before counts no more: its sequences may be given out again. */
  forget(): void {
    this.#grown.clear();
  }

  close(): void {
    clearInterval(this.#timer);
    this.#grown.clear();
  }

  appended(channel: string, { seq, extent }: Appended, retention: Retention, time: number = performance.now()): void {
    const last = { seq, extent, time };
    const grown = this.#grown.get(channel);
    // Or somebody emptied it.
    if (grown === undefined || grown.last.extent.messages > extent.messages) {
      this.#grown.set(channel, { retention, marks: [last], last, trimmed: time });
      return;
    }
    grown.retention = retention;
    grown.last = last;
    const newest = grown.marks.at(-1);
    if (newest !== undefined && !isFar(newest, last, retention)) return;
    grown.marks.push(last);
    if (grown.marks.length > mostMarks) grown.marks = grown.marks.filter((_, i) => i % 2 === 0);
  }

  /** Trims what is due; resolves when that is done. @param now as `performance.now()`. */
  async look(now: number = performance.now()): Promise<void> {
    if (this.#looking) return;
    this.#looking = true;
    for (const [channel, grown] of this.#grown) {
      const log = this.#log();
      if (log === undefined) break;
      const trim = this.#due(log, channel, grown, now);
      if (trim === undefined) continue;
      const begin = performance.now();
      // Nothing depends on it now, and it is tried again; the others are trimmed nevertheless. A connection that is of no use says so elsewhere.
      await trim().catch(() => undefined);
      await delay((performance.now() - begin) * rest, undefined, { ref: false });
    }
    this.#looking = false;
  }

  #due(log: Trimmed, channel: string, grown: Grown, now: number): (() => Promise<void>) | undefined {
    const { retention, last } = grown;
    if (last.time < now - Math.max(retention.ttl, this.#keyWindow))
      return async () => {
        await log.mark(channel, { seq: last.seq, after: last.extent });
        if (grown.last === last) this.#grown.delete(channel);
      };
    // Many small removals cost more than few large ones.
    if (grown.trimmed > now - this.#keyWindow / parts) return undefined;
    const mark = grown.marks.findLast((one) => this.#mayGo(one, grown, now));
    if (mark === undefined) return undefined;
    return async () => {
      // The position before the oldest that is kept stays.
      await log.trim(channel, mark.extent);
      grown.marks = grown.marks.filter(({ seq }) => seq > mark.seq);
      grown.trimmed = now;
    };
  }

  /** Whether nothing that ended by then is kept. */
  #mayGo({ extent, time }: Mark, { retention: { size, ttl, bytes }, last }: Grown, now: number): boolean {
    if (time > now - this.#keyWindow) return false;
    const over = last.extent.count - extent.count >= size || (bytes > 0 && last.extent.bytes - extent.bytes >= bytes);
    return over || time < now - ttl;
  }
}

function isFar(from: Mark, to: Mark, { size, ttl, bytes }: Retention): boolean {
  return (
    to.extent.count - from.extent.count >= size / parts ||
    (bytes > 0 && to.extent.bytes - from.extent.bytes >= bytes / parts) ||
    to.time - from.time >= ttl / parts
  );
}
