import { hash } from "node:crypto";
import { setTimeout as delay } from "node:timers/promises";
import { BackplaneError, type Position, type Retention } from "@zuruf/hub";
import type { Gathered } from "@zuruf/hub/store";
import {
  firstOffset,
  idAfter,
  longest,
  mostVain,
  nothing,
  readEntry,
  writeBlock,
  type Entry,
  type Extent,
} from "./entry.ts";
import type { Epochs } from "./epochs.ts";
import { JetStreamError } from "./answers.ts";
import { behind, keyWindow, type JetStream } from "./jetstream.ts";
import { RecentKeys } from "./recent-keys.ts";
import type { Subjects } from "./subjects.ts";

/** Head and epoch outlive the entries by this factor. */
const headFactor = 10;
/** Milliseconds between looks at which channels nobody publishes to any more. */
const lookEvery = 60_000;
/** Milliseconds at most before an append is tried again that lost against one that cannot be read yet. */
const pause = 5;
/** Headers asked for at once. */
const batchOfHeaders = 2048;
/** Milliseconds by which clocks may differ while keys are read. */
const slack = 2000;

/** What is asked of the stream. */
export type Stream = Pick<JetStream, "append" | "last" | "read" | "now" | "maxAge" | "extend">;

/** The end of a channel's log as far as this instance knows it. */
interface Tail {
  /** The last message of its subject; 0: there is none. */
  seq: number;
  extent: Extent;
  /** All that are in the window, once they are read; undefined: nobody asked for them yet. */
  keys: RecentKeys | undefined;
  reading: Promise<void> | undefined;
  used: number;
  /** Times in a row that something was said to follow, and nothing did. */
  vain: number;
}

/** What became longer. */
export interface Appended {
  readonly seq: number;
  readonly extent: Extent;
}

/**
 * Appends to logs. A block says that it follows the last message that this instance knows of its channel; JetStream refuses it when there is another one, and then that
 * one is read first. So nothing comes between unseen: a key that is not among those known was not published, by whichever instance, and the counts in the headers are right.
 * What an answer was lost for is found by its key in the log, or refused because something else came.
 */
export class Writer {
  readonly #jetstream: Stream;
  readonly #epochs: Pick<Epochs, "at">;
  readonly #subjects: Subjects;
  readonly #appended: (channel: string, appended: Appended, retention: Retention) => void;
  readonly #tails = new Map<string, Tail>();
  readonly #timer: ReturnType<typeof setInterval>;
  #extending: Promise<void> | undefined;

  /** @param appended hears of every block of this instance. */
  constructor(
    jetstream: Stream,
    epochs: Pick<Epochs, "at">,
    subjects: Subjects,
    appended: (channel: string, appended: Appended, retention: Retention) => void,
  ) {
    this.#jetstream = jetstream;
    this.#epochs = epochs;
    this.#subjects = subjects;
    this.#appended = appended;
    this.#timer = setInterval(() => this.#look(), lookEvery).unref();
  }

  /** What was known of logs counts no more. */
  forget(): void {
    this.#tails.clear();
  }
  close(): void {
    clearInterval(this.#timer);
    this.#tails.clear();
  }

  /** Something came on a channel behind the message with the sequence `last`. */
  heard(channel: string, entry: Entry, last: number): void {
    const tail = this.#tails.get(channel);
    if (tail?.seq === last) advance(tail, entry);
  }

  /** Stores publications of one retention in their order, and those published before not again; no two have the same key. One call of a channel is under way at a time. */
  async append(channel: string, batch: readonly Gathered[], within: number): Promise<Position[]> {
    const retention = batch[0]?.options.retention;
    if (retention === undefined) throw new BackplaneError("notStored", "what keeps no history is not appended");
    const end = performance.now() + within;
    const keys = batch.map(({ options: { key } }) => (key === undefined ? "" : shorten(key)));
    for (;;) {
      const tail = await this.#known(
        channel,
        retention,
        keys.some((key) => key !== ""),
      );
      const known = keys.map((key) => (key === "" ? undefined : tail.keys?.at(key)));
      const fresh = batch.filter((_, i) => known[i] === undefined);
      let next = 0;
      if (fresh.length > 0) {
        const left = end - performance.now();
        if (left <= 0) throw new JetStreamError(0, "others published there all the time");
        const freshKeys = keys.filter((_, i) => known[i] === undefined);
        const entry = await this.#send(channel, tail, fresh, freshKeys, retention, left);
        if (entry === undefined) continue;
        next = firstOffset(entry);
      }
      return known.map((offset) => this.#position(offset ?? next++));
    }
  }

  #position(offset: number): Position {
    return { epoch: this.#epochs.at(offset), offset };
  }

  /** Undefined: something came before it, and is known now. */
  async #send(
    channel: string,
    tail: Tail,
    batch: readonly Gathered[],
    keys: readonly string[],
    retention: Retention,
    within: number,
  ): Promise<Entry | undefined> {
    const { seq: last, extent } = tail;
    const lengths = batch.map(({ data }) => data.byteLength);
    const [only] = batch;
    const data = batch.length === 1 && only !== undefined ? only.data : Buffer.concat(batch.map((one) => one.data));
    const headers = writeBlock(extent, retention, lengths, keys);
    try {
      const subject = this.#subjects.log(channel);
      const id = tail.vain < mostVain ? idAfter(subject, last) : undefined;
      const seq = await this.#jetstream.append(subject, data, { headers, expected: last, id, within });
      const get = (name: string): string => headers[name] ?? "";
      const entry = readEntry({ seq, time: 0, size: data.byteLength, headers: { get }, data });
      advance(tail, entry);
      this.#appended(channel, { seq, extent: entry.after }, retention);
      return entry;
    } catch (error) {
      if (error instanceof JetStreamError && error.isWrongLast) {
        // Its announcement may have been here first.
        if (tail.seq === last) await surely(this.#catchUp(channel, tail));
        return undefined;
      }
      // Perhaps it is stored, or will be.
      this.#tails.delete(channel);
      throw error;
    }
  }

  /** The end of a log, with keys where they matter. Whatever fails here, nothing was stored. */
  async #known(channel: string, { ttl }: Retention, keyed: boolean): Promise<Tail> {
    const { maxAge } = this.#jetstream;
    const needed = headFactor * Math.ceil(Math.min(ttl, longest));
    if (maxAge > 0 && maxAge < needed) await surely((this.#extending ??= this.#extend(needed)));
    let tail = this.#tails.get(channel);
    if (tail === undefined) {
      const last = await surely(this.#last(channel));
      tail = {
        seq: last?.seq ?? 0,
        extent: last?.after ?? nothing,
        keys: undefined,
        reading: undefined,
        used: 0,
        vain: 0,
      };
      this.#tails.set(channel, tail);
    }
    // Who came before may have given up waiting for it.
    if (keyed) await surely((tail.reading ??= this.#readKeys(channel, tail)));
    tail.used = performance.now();
    return tail;
  }

  /** Those who publish while the stream is asked to keep more wait for the same answer. */
  async #extend(maxAge: number): Promise<void> {
    try {
      await this.#jetstream.extend(maxAge);
    } finally {
      this.#extending = undefined;
    }
  }

  async #last(channel: string): Promise<Entry | undefined> {
    const stored = await this.#jetstream.last(this.#subjects.log(channel));
    return stored === undefined ? undefined : readEntry(stored);
  }

  async #readKeys(channel: string, tail: Tail): Promise<void> {
    // What is announced meanwhile is noted, too.
    tail.keys = new RecentKeys(keyWindow);
    const since = this.#jetstream.now() - keyWindow - slack;
    try {
      const last = await this.#last(channel);
      if (last !== undefined && last.keep !== undefined && last.time > since)
        await this.#readTo(channel, tail, last.seq, { since });
    } catch (error) {
      this.#tails.delete(channel);
      throw error;
    }
  }

  /** Learns what others appended. */
  async #catchUp(channel: string, tail: Tail): Promise<void> {
    const last = await this.#last(channel);
    if ((last?.seq ?? 0) < tail.seq) this.#tails.delete(channel);
    else if (last === undefined || last.seq === tail.seq) {
      tail.vain++;
      await delay(Math.random() * pause);
    } else if (tail.keys === undefined) advance(tail, last);
    else await this.#readTo(channel, tail, last.seq, { from: tail.seq + 1 });
  }

  /** Reads headers up to a message that is there. */
  async #readTo(
    channel: string,
    tail: Tail,
    seq: number,
    start: { readonly from: number } | { readonly since: number },
  ): Promise<void> {
    for (let wait = behind.first; ; wait *= 2) {
      let reached = false;
      const what = { ...start, batch: batchOfHeaders, headersOnly: true };
      await this.#jetstream.read(this.#subjects.log(channel), what, (stored) => {
        const entry = readEntry(stored);
        note(tail, entry);
        advance(tail, entry);
        reached = entry.seq >= seq;
        return !reached;
      });
      if (reached) return;
      // In a cluster, who answers may be a moment behind.
      if (wait > behind.last) throw new JetStreamError(0, "what answered is behind: ask again");
      await delay(wait);
    }
  }

  #look(): void {
    const old = performance.now() - keyWindow;
    for (const [channel, { used }] of this.#tails) if (used < old) this.#tails.delete(channel);
  }
}

function advance(tail: Tail, entry: Entry): void {
  if (entry.seq <= tail.seq) return;
  tail.seq = entry.seq;
  tail.extent = entry.after;
  tail.vain = 0;
  note(tail, entry);
}

function note({ keys }: Tail, entry: Entry): void {
  if (keys === undefined) return;
  const [first, now] = [firstOffset(entry), performance.now()];
  for (const [i, key] of entry.keys.entries()) if (key !== "") keys.add(key, first + i, now);
}

/** Of what is asked before anything is sent: whatever went wrong, nothing is stored. */
async function surely<T>(question: Promise<T>): Promise<T> {
  try {
    return await question;
  } catch (error) {
    if (error instanceof JetStreamError || error instanceof BackplaneError) throw error;
    const message = error instanceof Error ? error.message : String(error);
    throw new JetStreamError(0, message);
  }
}

/** Keys come from clients and may be long, or hold what a header cannot. */
function shorten(key: string): string {
  return hash("sha256", key, "base64url").slice(0, 16);
}
