import type { Position } from "./backplane.ts";

/** How long a key is remembered, in milliseconds. */
const keyWindow = 5 * 60_000;
/** What a key takes beside its own text, in bytes; measured with keys as the hub scopes them, rounded up. */
const overhead = 288;
/** Default of `maxBytes`. */
const defaultBytes = 64 * 1024 * 1024;

/** What V8 keeps of a text: two bytes a character as soon as one of them is outside Latin-1. */
function bytesOf(text: string): number {
  // oxlint-disable-next-line no-control-regex -- Latin-1 begins with them.
  return /[^\u0000-\u00ff]/.test(text) ? text.length * 2 : text.length;
}

/** One channel's keys. */
export type ChannelKeys = Map<string, RememberedKey>;

interface RememberedKey {
  readonly owner: ChannelKeys;
  readonly key: string;
  readonly position: Position;
  readonly bytes: number;
  readonly until: number;
  next: RememberedKey | undefined;
}

/**
 * The idempotency keys of all channels in this process's memory: each for 5 minutes, as long as all together stay within a bound.
 * Beyond it the oldest are forgotten sooner, whosever they are: a flood shortens the time in which a repeat is known, and takes no memory.
 */
export class MemoryKeys {
  readonly #maxBytes: number;
  #bytes = 0;
  /** All, in the order of their end, because the window is the same for all. */
  #first: RememberedKey | undefined;
  #last: RememberedKey | undefined;

  /** @param maxBytes > 0; 64 MiB unless told: about 200,000 keys. */
  constructor(maxBytes: number = defaultBytes) {
    this.#maxBytes = maxBytes;
  }

  remember(owner: ChannelKeys, key: string, position: Position, now: number): void {
    const bytes = bytesOf(key) + overhead;
    const entry: RememberedKey = { owner, key, position, bytes, until: now + keyWindow, next: undefined };
    owner.set(key, entry);
    if (this.#last === undefined) this.#first = entry;
    else this.#last.next = entry;
    this.#last = entry;
    this.#bytes += bytes;
    while (this.#bytes > this.#maxBytes) this.#forgetFirst();
  }

  expire(now: number): void {
    while (this.#first !== undefined && this.#first.until <= now) this.#forgetFirst();
  }

  #forgetFirst(): void {
    const entry = this.#first;
    if (entry === undefined) return;
    this.#first = entry.next;
    if (this.#first === undefined) this.#last = undefined;
    this.#bytes -= entry.bytes;
    // A rollback may have forgotten it already, and the key may have come again.
    if (entry.owner.get(entry.key) === entry) entry.owner.delete(entry.key);
  }
}
