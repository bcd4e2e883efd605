import type { HistoryPage, Item, Position, Retention } from "./backplane.ts";
import { type ChannelKeys, MemoryKeys } from "./memory-keys.ts";

/** Head and epoch outlive the entries by this factor, and at least by a week. */
const headFactor = 10;
const week = 7 * 86_400_000;
const emptyFor = 60_000;

interface Entry extends Item {
  readonly time: number;
}

const smallest = 4;

function emptyRing(length: number): (Entry | undefined)[] {
  return Array.from({ length }, () => undefined);
}

/** One channel's log in memory: a window over contiguous offsets, its head, its epochs and the keys it has seen. */
export class MemoryLog {
  /** Entries by the remainder of their offset, since offsets are contiguous: a ring that doubles when it is full. */
  #ring: (Entry | undefined)[] = emptyRing(smallest);
  #count = 0;
  #bytes = 0;
  #offset = 0;
  /** First offset of each epoch, oldest first. */
  readonly #chain: { readonly epoch: string; readonly first: number }[];
  readonly #keys: ChannelKeys = new Map();
  readonly #allKeys: MemoryKeys;
  #ttl = 0;
  #touched: number;

  /** @param keys shared by the logs of a process, so that all their keys have one bound. */
  constructor(epoch: string, now: number, keys: MemoryKeys = new MemoryKeys()) {
    this.#allKeys = keys;
    this.#chain = [{ epoch, first: 1 }];
    this.#touched = now;
  }

  /** Somebody is interested: the log must stay. */
  touch(now: number): void {
    this.#touched = now;
  }

  get head(): Position {
    return { epoch: (this.#chain.at(-1) as { epoch: string }).epoch, offset: this.#offset };
  }

  /** The log as a store remembers it that lost everything after `offset`; the next append begins `epoch`. */
  rollBack(offset: number, epoch: string): void {
    for (; this.#count > 0 && this.#offset > offset; this.#offset--) {
      this.#bytes -= this.#take(this.#offset).data.length;
      this.#count--;
    }
    this.#offset = Math.min(this.#offset, offset);
    for (const [key, { position }] of this.#keys) if (position.offset > offset) this.#keys.delete(key);
    this.#chain.push({ epoch, first: this.#offset + 1 });
  }

  /** Where it is, and what was appended; a repeated key appends nothing. */
  append(
    data: Uint8Array,
    retention: Retention,
    key: string | undefined,
    now: number,
  ): { readonly position: Position; readonly item: Item | undefined } {
    this.#ttl = retention.ttl;
    this.expire(now);
    const known = key === undefined ? undefined : this.#keys.get(key);
    if (known !== undefined) return { position: known.position, item: undefined };
    if (this.#count === this.#ring.length) this.#grow();
    this.#offset++;
    const position = this.head;
    const { epoch, offset } = position;
    const item = { epoch, offset, data, time: now };
    this.#ring[this.#slot(offset)] = item;
    this.#count++;
    this.#bytes += data.length;
    while (this.#count > retention.size || (retention.bytes > 0 && this.#bytes > retention.bytes && this.#count > 1))
      this.#drop();
    if (key !== undefined) this.#allKeys.remember(this.#keys, key, position, now);
    return { position, item };
  }

  page(
    range: { readonly after?: Position; readonly before?: Position; readonly limit: number },
    now: number,
  ): HistoryPage {
    this.expire(now);
    const { after, before, limit } = range;
    const head = this.head;
    const oldest = this.#oldest;
    if (after !== undefined) {
      const reason = this.#invalid(after) ?? (after.offset < oldest - 1 ? "retention" : undefined);
      if (reason !== undefined) return { items: [], head, complete: false, reason };
      return { items: this.#between(after.offset + 1, after.offset + limit), head, complete: true };
    }
    const last = Math.min(this.#offset, before === undefined ? this.#offset : before.offset - 1);
    return { items: this.#between(Math.max(oldest, last - limit + 1), last), head, complete: true };
  }

  /** Forgets what is too old; true when nothing is left worth keeping. */
  expire(now: number): boolean {
    while (this.#count > 0 && this.#at(this.#oldest).time <= now - this.#ttl) this.#drop();
    this.#allKeys.expire(now);
    // A log that was asked for and never written to holds nothing to remember, and anybody may ask for any number of them.
    const keep = this.#offset === 0 ? emptyFor : Math.max(week, headFactor * this.#ttl);
    return now - this.#touched > keep && this.#count === 0;
  }

  /** A position is good below the first offset of the epoch after its own, and not above the head. */
  #invalid(position: Position): "epoch" | "rollback" | undefined {
    const link = this.#chain.findIndex(({ epoch }) => epoch === position.epoch);
    if (link === -1) return "epoch";
    const next = this.#chain[link + 1];
    return position.offset > this.#offset || (next !== undefined && position.offset >= next.first)
      ? "rollback"
      : undefined;
  }

  /** The offset of the oldest entry; of the next one when there is none. */
  get #oldest(): number {
    return this.#offset - this.#count + 1;
  }

  #at(offset: number): Entry {
    return this.#ring[this.#slot(offset)] as Entry;
  }

  #slot(offset: number): number {
    // Not `&`: an offset may have more than 31 bits.
    return offset % this.#ring.length;
  }

  /** Entries from one offset to another, as far as they are there. */
  #between(first: number, last: number): Entry[] {
    const items: Entry[] = [];
    for (let offset = first; offset <= Math.min(last, this.#offset); offset++) items.push(this.#at(offset));
    return items;
  }

  #take(offset: number): Entry {
    const entry = this.#at(offset);
    this.#ring[this.#slot(offset)] = undefined;
    return entry;
  }

  #drop(): void {
    this.#bytes -= this.#take(this.#oldest).data.length;
    // A burst that has expired leaves nothing behind.
    if (--this.#count === 0 && this.#ring.length > 64) this.#ring = emptyRing(smallest);
  }

  #grow(): void {
    const entries = this.#between(this.#oldest, this.#offset);
    this.#ring = emptyRing(this.#ring.length * 2);
    for (const entry of entries) this.#ring[this.#slot(entry.offset)] = entry;
  }
}
