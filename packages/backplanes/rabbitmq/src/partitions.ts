/** The partition of a channel: FNV-1a (32 bits) of its UTF-8 bytes, modulo their number. The same on every instance, and in every version. */
export function partitionOf(channel: string, partitions: number): number {
  let hash = 0x811c9dc5;
  for (const byte of new TextEncoder().encode(channel)) hash = Math.imul(hash ^ byte, 0x01000193);
  return (hash >>> 0) % partitions;
}

/** Counts channels per partition, and says which partitions begin or cease to matter. */
export class Interest {
  readonly #partitions: number;
  readonly #channels = new Set<string>();
  readonly #counts = new Map<number, number>();

  constructor(partitions: number) {
    this.#partitions = partitions;
  }

  has(channel: string): boolean {
    return this.#channels.has(channel);
  }
  partitions(): number[] {
    return [...this.#counts.keys()];
  }

  /** Returns the partitions that had no channel before. */
  add(channels: readonly string[]): number[] {
    const begun: number[] = [];
    for (const channel of channels) {
      if (this.#channels.has(channel)) continue;
      this.#channels.add(channel);
      const partition = partitionOf(channel, this.#partitions);
      const count = this.#counts.get(partition) ?? 0;
      if (count === 0) begun.push(partition);
      this.#counts.set(partition, count + 1);
    }
    return begun;
  }

  /** Returns the partitions that have no channel any more. */
  remove(channels: readonly string[]): number[] {
    const ceased: number[] = [];
    for (const channel of channels) {
      if (!this.#channels.delete(channel)) continue;
      const partition = partitionOf(channel, this.#partitions);
      const count = this.#counts.get(partition) ?? 0;
      if (count > 1) this.#counts.set(partition, count - 1);
      else {
        this.#counts.delete(partition);
        ceased.push(partition);
      }
    }
    return ceased;
  }
}
