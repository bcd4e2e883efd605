/**
 * A message of a channel's log: a block of publications that were stored together, or a marker. What it says is in its headers, so that it can be read without
 * the data, and the data is the publications' bytes one after the other. It comes from a broker, so it is checked.
 */
import type { Item, Retention } from "@zuruf/hub";
import { readOffset } from "@zuruf/hub/store";
import { JetStreamError, type Stored } from "./answers.ts";

/** `<offset> <publications> <bytes> <messages>`: the head before this message, and what there was until then since the log began. */
const logHeader = "Zuruf-Log";
/** `<size> <ttl> <bytes> <length> …`: what its channel keeps, and the length of each publication. A marker has none. */
const blockHeader = "Zuruf-Block";
/** The key of each publication, with a comma between; absent when none has one. */
const keysHeader = "Zuruf-Keys";

/** Publications in a block at most. Offsets count so many for each sequence of the stream: so an offset tells where its block is, and a block's last publication is a multiple. */
export const mostInBlock = 128;
/** The largest retention of any kind that is told apart from none: 28 years, in milliseconds. */
export const longest = 9e11;

export function lastOffset(seq: number): number {
  return seq * mostInBlock;
}
export function seqOf(offset: number): number {
  return Math.ceil(offset / mostInBlock);
}

/** Where a log stands: its last publication's offset (0: none), and publications, their bytes and messages since the log began. */
export interface Extent {
  readonly head: number;
  readonly count: number;
  readonly bytes: number;
  readonly messages: number;
}
export const nothing: Extent = { head: 0, count: 0, bytes: 0, messages: 0 };

export interface Entry {
  readonly seq: number;
  /** Milliseconds since 1970, by the clock of the stream's server. */
  readonly time: number;
  readonly before: Extent;
  readonly after: Extent;
  /** What its channel keeps; absent: it is a marker, which stands for a head whose publication is gone, or never was. */
  readonly keep: Retention | undefined;
  /** Bytes of each publication. */
  readonly lengths: readonly number[];
  /** One for each publication, empty where it has none; no elements where none has one. */
  readonly keys: readonly string[];
  /** Empty where only headers were asked for. */
  readonly data: Uint8Array;
}

export function writeMarker({ head, count, bytes, messages }: Extent): Record<string, string> {
  return { [logHeader]: `${head} ${count} ${bytes} ${messages}` };
}

export function writeBlock(
  before: Extent,
  keep: Retention,
  lengths: readonly number[],
  keys: readonly string[],
): Record<string, string> {
  const kept = [keep.size, keep.ttl, keep.bytes].map((value) => Math.ceil(Math.min(value, longest)));
  return {
    ...writeMarker(before),
    [blockHeader]: [...kept, ...lengths].join(" "),
    ...(keys.some((key) => key !== "") && { [keysHeader]: keys.join(",") }),
  };
}

/** The id of what follows a message of a subject: there is one. */
export function idAfter(subject: string, seq: number): string {
  return `${subject}.${seq}`;
}

/** Times in a row that something else was said to follow and nothing did, after which it must have been removed: then its id means nothing. */
export const mostVain = 3;

export function readEntry({ seq, time, size, headers, data }: Stored): Entry {
  const numbers = (name: string): (number | undefined)[] => {
    const text = headers?.get(name) ?? "";
    return text === "" ? [] : text.split(" ").map(readOffset);
  };
  const [head, count, bytes, messages] = numbers(logHeader);
  const [keptSize, ttl, keptBytes, ...rest] = numbers(blockHeader);
  if (head === undefined || count === undefined || bytes === undefined || messages === undefined) throw foreign(seq);
  const before = { head, count, bytes, messages };
  const marked = { ...before, messages: messages + 1 };
  if (keptSize === undefined) return { seq, time, before, after: marked, keep: undefined, lengths: [], keys: [], data };
  const lengths = rest.filter((length) => length !== undefined);
  const sum = lengths.reduce((all, length) => all + length, 0);
  if (ttl === undefined || keptBytes === undefined || lengths.length !== rest.length) throw foreign(seq);
  if (lengths.length < 1 || lengths.length > mostInBlock || sum !== size) throw foreign(seq);
  const keys = headers?.get(keysHeader) ?? "";
  return {
    seq,
    time,
    before,
    after: { head: lastOffset(seq), count: count + lengths.length, bytes: bytes + sum, messages: messages + 1 },
    keep: { size: keptSize, ttl, bytes: keptBytes },
    lengths,
    keys: keys === "" ? [] : keys.split(","),
    data,
  };
}

/** The offset of a block's first publication. */
export function firstOffset({ after, lengths }: Entry): number {
  return after.head - lengths.length + 1;
}

/** The publications of a block, oldest first, as views of it. */
export function itemsOf(entry: Entry, epoch: string): Item[] {
  const first = firstOffset(entry);
  let end = 0;
  return entry.lengths.map((length, i) => {
    const start = end;
    end += length;
    const previous = i === 0 ? entry.before.head : first + i - 1;
    return { epoch, offset: first + i, data: entry.data.subarray(start, end), previous };
  });
}

function foreign(seq: number): JetStreamError {
  return new JetStreamError(
    0,
    `message ${seq} is not Zuruf's, or another version's: name another stream, or remove it`,
  );
}
