import { createHash } from "node:crypto";
import { setTimeout as delay } from "node:timers/promises";
import type { HistoryPage, Item, Position, Retention } from "@zuruf/hub";
import { misfit } from "@zuruf/hub/store";
import type { Epochs } from "./epochs.ts";
import { headHeader, JetStreamError, keepHeader, type Entry, type JetStream } from "./jetstream.ts";
import { Slots } from "./slots.ts";
import type { Subjects } from "./subjects.ts";

/** Messages asked for at once, and pages read at once: each page has a reader of its own in JetStream for a moment. */
const batch = 256;
const batchOfHeaders = 2048;
const pagesAtOnce = 16;
const headsAtOnce = 1000;
/** Of this many heads or more, the stream is asked first whether anything happened at all. */
const manyHeads = 16;

/** Milliseconds until a reader that was behind is tried again, doubling; and the last pause. */
const behind = { first: 5, last: 640 };

/** Head and epoch outlive the entries by this factor. */
const headFactor = 10;
/** The largest retention of any kind that is told apart from none: 28 years, in milliseconds. */
const longest = 9e11;

/** A channel's head. `entry` is its last message: a publication, or the marker that stands for one that is gone, or for none. */
interface Head {
  readonly position: Position;
  readonly entry: Entry;
}

/**
 * The logs in a stream, one per channel: offsets are the stream's sequence, so they have holes. What is complete is asserted by what is there:
 * nothing is lost after a position whose own publication, or the marker that stands for it, is still in the log; trimming leaves one more than it must for that.
 * A marker is written where a channel without a log is asked for its head (it stands for offset 0), and where a channel's last publication is to go.
 */
export class Log {
  readonly #jetstream: JetStream;
  readonly #epochs: Epochs;
  readonly #subjects: Subjects;
  #extending: Promise<void> | undefined;
  readonly #pages = new Slots(pagesAtOnce);
  /** Heads, and the stream's last sequence before they were read. */
  readonly #seen = new Map<string, { readonly head: Head; readonly lastSeq: number }>();

  constructor(jetstream: JetStream, epochs: Epochs, subjects: Subjects) {
    this.#jetstream = jetstream;
    this.#epochs = epochs;
    this.#subjects = subjects;
  }

  async append(
    channel: string,
    data: Uint8Array,
    { size, ttl, bytes }: Retention,
    key: string | undefined,
  ): Promise<Position> {
    const { maxAge } = this.#jetstream;
    const needed = headFactor * Math.ceil(Math.min(ttl, longest));
    if (maxAge > 0 && maxAge < needed) await (this.#extending ??= this.#extend(needed));
    const seq = await this.#jetstream.append(this.#subjects.log(channel), data, {
      headers: { [keepHeader]: [size, ttl, bytes].map((value) => Math.ceil(Math.min(value, longest))).join(" ") },
      // JetStream knows ids for the whole stream, and keys belong to a channel.
      ...(key !== undefined && { id: createHash("sha256").update(`${channel}\n${key}`).digest("base64url") }),
    });
    return { epoch: this.#epochs.at(seq), offset: seq };
  }

  /** Those who publish while the stream is asked to keep more wait for the same answer, so they go on in their order. */
  async #extend(maxAge: number): Promise<void> {
    try {
      await this.#jetstream.extend(maxAge);
    } finally {
      this.#extending = undefined;
    }
  }

  async heads(channels: readonly string[]): Promise<Map<string, Position>> {
    const result = new Map<string, Position>();
    const lastSeq = channels.length < manyHeads ? undefined : (await this.#jetstream.state()).lastSeq;
    const changed: string[] = [];
    for (const channel of channels) {
      const seen = lastSeq === undefined ? undefined : this.#seen.get(channel);
      if (seen !== undefined && seen.lastSeq === lastSeq && !this.#isOld(seen.head.entry))
        result.set(channel, seen.head.position);
      else changed.push(channel);
    }
    for (let i = 0; i < changed.length; i += headsAtOnce) {
      const part = changed.slice(i, i + headsAtOnce);
      const heads = await Promise.all(part.map((channel) => this.#head(channel)));
      for (const [j, channel] of part.entries()) {
        const head = heads[j] as Head;
        result.set(channel, head.position);
        if (lastSeq !== undefined) this.#seen.set(channel, { head, lastSeq });
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
    for (;;) {
      const entry = await this.#jetstream.last(subject);
      if (entry !== undefined && !this.#isOld(entry)) return { entry, position: this.#positionOf(entry) };
      const marked = await this.mark(channel, entry);
      if (marked !== undefined) return { entry: marked, position: this.#positionOf(marked) };
      // Somebody published, or marked it, in between.
    }
  }

  /** Whether a channel's last message has to be replaced by a marker: its time is over, or it would be gone before somebody asks again. */
  #isOld({ time, keep }: Entry): boolean {
    const age = this.#jetstream.now() - time;
    const { maxAge } = this.#jetstream;
    return (keep !== undefined && age > keep.ttl) || (maxAge > 0 && age > maxAge / 2);
  }

  #positionOf({ seq, head }: Entry): Position {
    // The empty log has the epoch in which it was first asked for.
    const offset = head ?? seq;
    return { epoch: this.#epochs.at(offset === 0 ? seq : offset), offset };
  }

  /** Appends the marker that stands for this last entry (absent: for none), and removes what is before it. Undefined: there is a newer one. */
  async mark(channel: string, last: Pick<Entry, "seq" | "head"> | undefined): Promise<Entry | undefined> {
    const subject = this.#subjects.log(channel);
    const head = last === undefined ? 0 : (last.head ?? last.seq);
    try {
      const data = new Uint8Array(0);
      const seq = await this.#jetstream.append(subject, data, {
        headers: { [headHeader]: `${head}` },
        expected: last?.seq ?? 0,
      });
      if (last !== undefined) await this.#jetstream.purge(subject, { seq });
      return { seq, time: this.#jetstream.now(), size: 0, keep: undefined, head, data };
    } catch (error) {
      if (error instanceof JetStreamError && error.isWrongLast) return undefined;
      throw error;
    }
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
    const { position: head } = await this.#head(channel);
    // A head of 0 may also be one whose publications are all gone by age.
    const reason =
      head.offset === 0 && after.offset > 0
        ? (misfit(this.#epochs.chain, Number.MAX_SAFE_INTEGER, after) ?? "retention")
        : misfit(this.#epochs.chain, head.offset, after);
    if (reason !== undefined) return { items: [], head, complete: false, reason };
    if (after.offset === head.offset) return { items: [], head, complete: true };
    const items: Item[] = [];
    let anchored: boolean | undefined;
    await this.#jetstream.read(
      this.#subjects.log(channel),
      after.offset,
      { batch: Math.min(limit + 1, batch) },
      (entry) => {
        anchored ??= (entry.head ?? entry.seq) === after.offset;
        if (entry.head === undefined && entry.seq > after.offset) items.push(this.#item(entry));
        return anchored && items.length < limit;
      },
    );
    const last = items.at(-1);
    if (anchored === undefined) return undefined;
    if (!anchored) return { items: [], head, complete: false, reason: "retention" };
    if (items.length < limit && (last?.offset ?? 0) < head.offset) return undefined;
    // What was published since the head was read.
    return last !== undefined && last.offset > head.offset
      ? { items, head: { epoch: last.epoch, offset: last.offset }, complete: true }
      : { items, head, complete: true };
  }

  /** Undefined as above. */
  async #newest(channel: string, before: Position | undefined, limit: number): Promise<HistoryPage | undefined> {
    const subject = this.#subjects.log(channel);
    const { position: head, entry: newest } = await this.#head(channel);
    const reason = before === undefined ? undefined : misfit(this.#epochs.chain, head.offset, before);
    if (reason !== undefined) return { items: [], head, complete: false, reason };
    const { keep } = newest;
    if (keep === undefined) return { items: [], head, complete: true };
    if (limit === 1 && before === undefined) return { items: [this.#item(newest)], head, complete: true };
    // Which ones these are is known only to who has seen them all: without their data, which costs little.
    const seen: Entry[] = [];
    await this.#jetstream.read(subject, 1, { batch: batchOfHeaders, headersOnly: true }, (entry) => {
      if (entry.head === undefined && entry.seq <= newest.seq) seen.push(entry);
      return entry.seq < newest.seq;
    });
    if (seen.at(-1)?.seq !== newest.seq) return undefined;
    const wanted = seen
      .slice(firstKept(seen, keep, this.#jetstream.now()))
      .filter(({ seq }) => before === undefined || seq < before.offset);
    const [first, last] = [wanted.at(-limit) ?? wanted[0], wanted.at(-1)];
    if (first === undefined || last === undefined) return { items: [], head, complete: true };
    const items: Item[] = [];
    await this.#jetstream.read(subject, first.seq, { batch: Math.min(limit, batch) }, (entry) => {
      if (entry.head === undefined && entry.seq <= last.seq) items.push(this.#item(entry));
      return entry.seq < last.seq;
    });
    return items.at(-1)?.offset === last.seq ? { items, head, complete: true } : undefined;
  }

  /** Removes what a channel's newest publication does not let it keep. */
  async trim(channel: string): Promise<void> {
    const subject = this.#subjects.log(channel);
    const entries: Entry[] = [];
    await this.#jetstream.read(subject, 1, { batch: batchOfHeaders, headersOnly: true }, (entry) => {
      entries.push(entry);
      return true;
    });
    const keep = entries.at(-1)?.keep;
    if (keep === undefined) return;
    // One more than it must: the position before the oldest that is kept.
    const anchor = entries[firstKept(entries, keep, this.#jetstream.now()) - 1];
    if (anchor !== undefined && anchor !== entries[0]) await this.#jetstream.purge(subject, { seq: anchor.seq });
  }

  #item({ seq, data }: Entry): Item {
    return { epoch: this.#epochs.at(seq), offset: seq, data };
  }
}

/** The index of the oldest entry that is kept: of as many, as young, and together as large as allowed; always the newest. */
function firstKept(entries: readonly Entry[], { size, ttl, bytes }: NonNullable<Entry["keep"]>, now: number): number {
  const oldest = now - ttl;
  let first = entries.length - 1;
  let sum = entries[first]?.size ?? 0;
  while (first > 0 && entries.length - first < size) {
    const entry = entries[first - 1] as Entry;
    sum += entry.size;
    if (entry.time < oldest || (bytes > 0 && sum > bytes)) break;
    first--;
  }
  return Math.max(0, first);
}
