/**
 * Keys and Pub/Sub channels. All of one channel's carry its name as hash tag, so that they share one slot of a cluster:
 *
 *     zuruf:{chat:lobby}            Pub/Sub channel of its publications
 *     zuruf:{chat:lobby}:log        stream: entries `<offset of the last>-<ms>`, fields d (a block of publications) and c (bytes appended before it)
 *     zuruf:{chat:lobby}:meta       hash: head, chain, run, oldest, sum, ttl, touched, turned, side
 *     zuruf:{chat:lobby}:keys:0, …:1  hashes: the positions that publications with these keys got; of this key window, and of the one before
 *     zuruf:{chat:lobby}:key:<key>  string: a publication with this key was announced, where there is no log
 *     zuruf:{$control}:all, zuruf:{$control}:to:<instance>   messages between instances: one slot, so that they keep their order
 *     zuruf:{$canary:<n>}:<instance>                          proves that a connection still delivers
 */
export class Names {
  readonly #prefix: string;
  constructor(prefix: string) {
    this.#prefix = prefix;
  }
  announcements(channel: string): string {
    return `${this.#prefix}:{${channel}}`;
  }
  /** The inverse of `announcements`. */
  channelOf(announcements: string): string {
    return announcements.slice(this.#prefix.length + 2, -1);
  }
  log(channel: string): string {
    return `${this.#prefix}:{${channel}}:log`;
  }
  meta(channel: string): string {
    return `${this.#prefix}:{${channel}}:meta`;
  }
  /** One of the two hashes of idempotency keys. */
  keys(channel: string, side: 0 | 1): string {
    return `${this.#prefix}:{${channel}}:keys:${side}`;
  }
  key(channel: string, key: string): string {
    return `${this.#prefix}:{${channel}}:key:${key}`;
  }
  /** All instances, or one. */
  control(instance?: string): string {
    return `${this.#prefix}:{$control}:${instance === undefined ? "all" : `to:${instance}`}`;
  }
  canary(instance: string, n: number): string {
    return `${this.#prefix}:{$canary:${n}}:${instance}`;
  }
}

/** The hash slot (0–16383) of a key or sharded channel: CRC-16/XMODEM of its hash tag (Redis Cluster specification, "Hash tags"). */
export function slotOf(key: string): number {
  const open = key.indexOf("{");
  const close = open === -1 ? -1 : key.indexOf("}", open + 1);
  const bytes = Buffer.from(close > open + 1 ? key.slice(open + 1, close) : key);
  let crc = 0;
  for (const byte of bytes) {
    crc ^= byte << 8;
    for (let bit = 0; bit < 8; bit++) crc = ((crc << 1) ^ (crc & 0x8000 ? 0x1021 : 0)) & 0xffff;
  }
  return crc & 0x3fff;
}
