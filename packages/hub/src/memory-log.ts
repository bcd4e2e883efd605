import type { HistoryPage, Item, Position, Retention } from "./backplane.ts";

/** How long a key is remembered. */
const keyWindow = 5 * 60_000;
/** Head and epoch outlive the entries by this factor, and at least by a week. */
const headFactor = 10;
const week = 7 * 86_400_000;
const emptyFor = 3_600_000;

interface Entry extends Item {
  readonly time: number;
}

/** One channel's log in memory: a window over contiguous offsets, its head, its epochs and the keys it has seen. */
export class MemoryLog {
  /** Entries from `#start` on; those before it are gone, and cut off now and then. */
  #entries: Entry[] = [];
  #start = 0;
  #bytes = 0;
  #offset = 0;
  /** First offset of each epoch, oldest first. */
  readonly #chain: { readonly epoch: string; readonly first: number }[];
  readonly #keys = new Map<string, { readonly position: Position; readonly until: number }>();
  #ttl = 0;
  #touched: number;

  constructor(epoch: string, now: number) {
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
    while (this.#entries.length > this.#start && (this.#entries.at(-1) as Entry).offset > offset)
      this.#bytes -= (this.#entries.pop() as Entry).data.length;
    this.#offset = Math.min(this.#offset, offset);
    for (const [key, { position }] of this.#keys) if (position.offset > offset) this.#keys.delete(key);
    this.#chain.push({ epoch, first: this.#offset + 1 });
  }

  append(
    data: Uint8Array,
    retention: Retention,
    key: string | undefined,
    now: number,
  ): { position: Position; repeated: boolean } {
    this.#ttl = retention.ttl;
    this.expire(now);
    const known = key === undefined ? undefined : this.#keys.get(key);
    if (known !== undefined) return { position: known.position, repeated: true };
    this.#offset++;
    const position = this.head;
    this.#entries.push({ ...position, data, time: now });
    this.#bytes += data.length;
    while (
      this.#entries.length - this.#start > retention.size ||
      (retention.bytes > 0 && this.#bytes > retention.bytes && this.#entries.length - this.#start > 1)
    )
      this.#drop();
    if (key !== undefined) this.#keys.set(key, { position, until: now + keyWindow });
    return { position, repeated: false };
  }

  page(
    range: { readonly after?: Position; readonly before?: Position; readonly limit: number },
    now: number,
  ): HistoryPage {
    this.expire(now);
    const { after, before, limit } = range;
    const head = this.head;
    const oldest = this.#offset - (this.#entries.length - this.#start) + 1;
    if (after !== undefined) {
      const reason = this.#invalid(after) ?? (after.offset < oldest - 1 ? "retention" : undefined);
      if (reason !== undefined) return { items: [], head, complete: false, reason };
      const from = this.#start + (after.offset - oldest + 1);
      return { items: this.#entries.slice(from, from + limit), head, complete: true };
    }
    const end =
      this.#start + Math.min(this.#offset, before === undefined ? this.#offset : before.offset - 1) - oldest + 1;
    const items = this.#entries.slice(Math.max(this.#start, end - limit), Math.max(this.#start, end));
    return { items, head, complete: true };
  }

  /** Forgets what is too old; true when nothing is left worth keeping. */
  expire(now: number): boolean {
    while (this.#start < this.#entries.length && (this.#entries[this.#start] as Entry).time <= now - this.#ttl)
      this.#drop();
    // Keys are in the order of their end, because the window is the same for all.
    for (const [key, { until }] of this.#keys) {
      if (until > now) break;
      this.#keys.delete(key);
    }
    // A log that was asked for and never written to holds nothing to remember.
    const keep = this.#offset === 0 ? emptyFor : Math.max(week, headFactor * this.#ttl);
    return now - this.#touched > keep && this.#entries.length === this.#start;
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

  #drop(): void {
    this.#bytes -= (this.#entries[this.#start] as Entry).data.length;
    // The slot is freed at once, the array shortened only when half of it is empty: constant time on average.
    (this.#entries as unknown[])[this.#start++] = undefined;
    if (this.#start > 64 && this.#start * 2 > this.#entries.length) {
      this.#entries = this.#entries.slice(this.#start);
      this.#start = 0;
    }
  }
}
