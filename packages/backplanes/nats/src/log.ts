import { setTimeout as delay } from "node:timers/promises";
import type { HistoryPage, Item, Position, Retention } from "@zuruf/hub";
import { misfit } from "@zuruf/hub/store";
import {
  firstOffset,
  idAfter,
  itemsOf,
  mostVain,
  nothing,
  readEntry,
  seqOf,
  writeMarker,
  type Entry,
  type Extent,
} from "./entry.ts";
import type { Epochs } from "./epochs.ts";
import { JetStreamError } from "./answers.ts";
import { behind, keyWindow, type JetStream } from "./jetstream.ts";
import { Slots } from "./slots.ts";
import type { Subjects } from "./subjects.ts";

/** Messages asked for at once, and pages read at once: each page has a reader of its own in JetStream for a moment. */
const batch = 256;
const pagesAtOnce = 16;
const headsAtOnce = 1000;
/** Of this many heads or more, the stream is asked first whether anything happened at all. */
const manyHeads = 16;
/** Messages that may come to a channel between a question and what is done with the answer. */
const meanwhile = 8;
/** How far back the beginning of a page is looked for grows by this factor. */
const stride = 4;

/** What is asked of the stream. */
export type Stream = Pick<JetStream, "state" | "last" | "next" | "append" | "purge" | "read" | "now" | "maxAge">;

/** A channel's head. `entry` is its last message: a block, or the marker that stands for one that is gone, or for none. */
interface Head {
  readonly position: Position;
  readonly entry: Entry;
}

/** A head as it was, without the data of its block. */
interface Seen extends Pick<Entry, "time" | "keep"> {
  readonly position: Position;
  /** The stream's last sequence before it was read. */
  readonly lastSeq: number;
}

/**
 * Reads the logs in a stream, one per channel. Offsets come from the stream's sequence, so they have holes; what is complete is asserted by what is there:
 * nothing is lost after a position whose own publication, or the marker that stands for it, is still in the log. The counts in the headers say what of it is kept:
 * what is not may be there for a while, and is not shown.
 * A marker is written where a channel without a log is asked for its head (it stands for offset 0), and where a channel's last publication is to go.
 */
export class Log {
  readonly #jetstream: Stream;
  readonly #epochs: Pick<Epochs, "at" | "of" | "chain">;
  readonly #subjects: Subjects;
  readonly #pages = new Slots(pagesAtOnce);
  readonly #seen = new Map<string, Seen>();

  constructor(jetstream: Stream, epochs: Pick<Epochs, "at" | "of" | "chain">, subjects: Subjects) {
    this.#jetstream = jetstream;
    this.#epochs = epochs;
    this.#subjects = subjects;
  }

  async heads(channels: readonly string[]): Promise<Map<string, Position>> {
    const result = new Map<string, Position>();
    const lastSeq = channels.length < manyHeads ? undefined : (await this.#jetstream.state()).lastSeq;
    const changed: string[] = [];
    for (const channel of channels) {
      const seen = lastSeq === undefined ? undefined : this.#seen.get(channel);
      if (seen !== undefined && seen.lastSeq === lastSeq && !this.#isOld(seen)) result.set(channel, seen.position);
      else changed.push(channel);
    }
    for (let i = 0; i < changed.length; i += headsAtOnce) {
      const part = changed.slice(i, i + headsAtOnce);
      const heads = await Promise.all(part.map((channel) => this.#head(channel)));
      for (const [j, channel] of part.entries()) {
        const { position, entry } = heads[j] as Head;
        result.set(channel, position);
        if (lastSeq !== undefined) this.#seen.set(channel, { position, time: entry.time, keep: entry.keep, lastSeq });
      }
    }
    return result;
  }

  /** Drops the heads of these channels that were noted; of all, when none are named. */
  forget(channels: Iterable<string> = [...this.#seen.keys()]): void {
    for (const channel of channels) this.#seen.delete(channel);
  }

  async #head(channel: string): Promise<Head> {
    const subject = this.#subjects.log(channel);
    for (let tries = 0; ; tries++) {
      const last = await this.#jetstream.last(subject);
      const entry = last === undefined ? undefined : readEntry(last);
      if (entry !== undefined && !this.#isOld(entry)) return { entry, position: this.#positionOf(entry) };
      const marked = await this.mark(channel, entry, tries >= mostVain);
      if (marked !== undefined) return { entry: marked, position: this.#positionOf(marked) };
      // Somebody published, or marked it, in between.
    }
  }

  /** Whether a channel's last message has to be replaced by a marker: its time is over, also that of its keys, or it would be gone before somebody asks again. */
  #isOld({ time, keep }: Pick<Entry, "time" | "keep">): boolean {
    const age = this.#jetstream.now() - time;
    const { maxAge } = this.#jetstream;
    return (keep !== undefined && age > Math.max(keep.ttl, keyWindow)) || (maxAge > 0 && age > maxAge / 2);
  }

  #positionOf({ seq, after: { head } }: Entry): Position {
    // The empty log has the epoch in which it was first asked for.
    return { epoch: head === 0 ? this.#epochs.of(seq) : this.#epochs.at(head), offset: head };
  }

  /**
   * Appends the marker that stands for the end of the log after this last message (absent: there is none), and removes what is before it. Undefined: there is a newer one.
   * @param inVain there was said to be a newer one, and there is none.
   */
  async mark(
    channel: string,
    last?: { readonly seq: number; readonly after: Extent },
    inVain: boolean = false,
  ): Promise<Entry | undefined> {
    const subject = this.#subjects.log(channel);
    const extent = last?.after ?? nothing;
    try {
      const data = new Uint8Array(0);
      const headers = writeMarker(extent);
      const expected = last?.seq ?? 0;
      const id = inVain ? undefined : idAfter(subject, expected);
      const seq = await this.#jetstream.append(subject, data, { headers, expected, id });
      if (last !== undefined) await this.#jetstream.purge(subject, { seq });
      const get = (name: string): string => headers[name] ?? "";
      return readEntry({ seq, time: this.#jetstream.now(), size: 0, headers: { get }, data });
    } catch (error) {
      if (error instanceof JetStreamError && error.isWrongLast) return undefined;
      throw error;
    }
  }

  /** Removes the oldest messages of a log, up to and without the one after which it stood so. */
  async trim(channel: string, { messages }: Extent): Promise<void> {
    const subject = this.#subjects.log(channel);
    const last = await this.#jetstream.last(subject);
    const now = last === undefined ? 0 : readEntry(last).after.messages;
    // Somebody emptied it.
    if (now < messages) return;
    // By number: where JetStream is told a sequence, it looks through all that it has of the stream.
    await this.#jetstream.purge(subject, { keep: now - messages + 1 + meanwhile });
  }

  history(
    channel: string,
    { after, before, limit }: { readonly after?: Position; readonly before?: Position; readonly limit: number },
  ): Promise<HistoryPage> {
    return this.#pages.run(async () => {
      for (let wait = behind.first; ; wait *= 2) {
        const page = await (after === undefined
          ? this.#newest(channel, before, limit)
          : this.#after(channel, after, limit));
        if (page !== undefined) return page;
        if (wait > behind.last) throw new JetStreamError(0, "what answered is behind: ask again");
        await delay(wait);
      }
    });
  }

  /** Undefined: the reader lacks what the stream's leader has; in a cluster it may be at a replica that is a moment behind. */
  async #after(channel: string, after: Position, limit: number): Promise<HistoryPage | undefined> {
    const { position: head, entry: newest } = await this.#head(channel);
    // A head of 0 may also be one whose publications are all gone by age.
    const reason =
      head.offset === 0 && after.offset > 0
        ? (misfit(this.#epochs.chain, Number.MAX_SAFE_INTEGER, after) ?? "retention")
        : misfit(this.#epochs.chain, head.offset, after);
    if (reason !== undefined) return { items: [], head, complete: false, reason };
    if (after.offset === head.offset) return { items: [], head, complete: true };
    const items: Item[] = [];
    let anchored: boolean | undefined;
    let kept: boolean | undefined;
    let reached: number | undefined;
    const start = { from: seqOf(after.offset), batch: Math.min(limit + 1, batch) };
    await this.#jetstream.read(this.#subjects.log(channel), start, (message) => {
      const entry = readEntry(message);
      const fresh = this.#items(entry).filter(({ offset }) => offset > after.offset);
      anchored ??= holds(entry, after.offset);
      // What came between may be removed while this page is read.
      if (reached !== undefined && entry.before.head > reached) kept = false;
      reached = entry.after.head;
      if (fresh.length > 0) kept ??= this.#isKept(entry, fresh.length, newest);
      items.push(...fresh);
      return anchored && kept !== false && items.length < limit;
    });
    if (anchored === false || kept === false) return { items: [], head, complete: false, reason: "retention" };
    if (items.length < limit && (items.at(-1)?.offset ?? 0) < head.offset) return undefined;
    items.splice(limit);
    const last = items.at(-1);
    // What was published since the head was read.
    return last !== undefined && last.offset > head.offset
      ? { items, head: { epoch: last.epoch, offset: last.offset }, complete: true }
      : { items, head, complete: true };
  }

  /** Whether the first of the last `count` publications of a block is kept. */
  #isKept(entry: Entry, count: number, newest: Entry): boolean {
    const { keep } = newest;
    if (keep === undefined) return false;
    const bytes = entry.lengths.slice(-count).reduce((sum, length) => sum + length, 0);
    const first = { count: entry.after.count - count, bytes: entry.after.bytes - bytes, time: entry.time };
    return isKept(first, newest.after, keep, this.#jetstream.now());
  }

  /** Undefined as above. */
  async #newest(channel: string, before: Position | undefined, limit: number): Promise<HistoryPage | undefined> {
    const subject = this.#subjects.log(channel);
    const { position: head, entry: newest } = await this.#head(channel);
    const reason = before === undefined ? undefined : misfit(this.#epochs.chain, head.offset, before);
    if (reason !== undefined) return { items: [], head, complete: false, reason };
    const { keep } = newest;
    if (keep === undefined) return { items: [], head, complete: true };
    // The block in which the page ends.
    let end: Entry = newest;
    if (before !== undefined) {
      const found = await this.#jetstream.next(subject, seqOf(before.offset));
      if (found === undefined) return undefined;
      end = readEntry(found);
    }
    const all = before === undefined ? end.lengths.length : Math.max(0, before.offset - firstOffset(end));
    const wanted = end.before.count + Math.min(all, end.lengths.length);
    const first = Math.max(0, wanted - limit, newest.after.count - keep.size);
    if (first >= wanted) return { items: [], head, complete: true };
    const items: Item[] = [];
    const now = this.#jetstream.now();
    let reached = false;
    const take = (entry: Entry): boolean => {
      let { count, bytes } = entry.before;
      for (const item of this.#items(entry)) {
        const kept = isKept({ count, bytes, time: entry.time }, newest.after, keep, now);
        if (kept && count >= first && count < wanted) items.push(item);
        bytes += item.data.length;
        count++;
      }
      reached = entry.seq >= end.seq;
      return !reached;
    };
    if (first >= end.before.count) take(end);
    else {
      const { count, messages } = end.after;
      const from = await this.#seqBefore(subject, end.seq, first, Math.ceil(((wanted - first) * messages) / count));
      await this.#jetstream.read(subject, { from, batch: Math.min(limit, batch) }, (message) =>
        take(readEntry(message)),
      );
    }
    return reached ? { items, head, complete: true } : undefined;
  }

  /** A sequence from which on a log has all publications that come after this many, and not many more; `distance` is where it is looked for first. */
  async #seqBefore(subject: string, end: number, count: number, distance: number): Promise<number> {
    for (let far = distance; ; far *= stride) {
      const seq = end - far;
      if (seq <= 1) return 1;
      const found = await this.#jetstream.next(subject, seq);
      if (found !== undefined && readEntry(found).before.count <= count) return seq;
    }
  }

  #items(entry: Entry): Item[] {
    return itemsOf(entry, this.#epochs.of(entry.seq));
  }
}

/** Whether this is where an offset was given out, or the marker that stands for it. */
function holds(entry: Entry, offset: number): boolean {
  return entry.keep === undefined
    ? entry.after.head === offset
    : firstOffset(entry) <= offset && offset <= entry.after.head;
}

/** Whether a publication, known by what is before it, is among as many, as young, and together as large as allowed; the newest always is, until it is too old. */
function isKept(
  publication: { readonly count: number; readonly bytes: number; readonly time: number },
  newest: Extent,
  { size, ttl, bytes }: Retention,
  now: number,
): boolean {
  if (publication.time < now - ttl) return false;
  if (publication.count === newest.count - 1) return true;
  return newest.count - publication.count <= size && (bytes === 0 || newest.bytes - publication.bytes <= bytes);
}
