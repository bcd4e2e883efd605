/** Parts of the window: what is too old goes by the part. */
const parts = 5;

interface Part {
  readonly since: number;
  readonly offsets: Map<string, number>;
}

/** Idempotency keys of one channel and the offsets that they got, for as long as the window or a fifth longer. */
export class RecentKeys {
  readonly #window: number;
  /** Oldest first. */
  readonly #parts: Part[] = [];

  /** @param window milliseconds. */
  constructor(window: number) {
    this.#window = window;
  }

  at(key: string): number | undefined {
    for (const { offsets } of this.#parts) {
      const offset = offsets.get(key);
      if (offset !== undefined) return offset;
    }
    return undefined;
  }

  /** @param now milliseconds, increasing. */
  add(key: string, offset: number, now: number): void {
    let newest = this.#parts.at(-1);
    if (newest === undefined || now - newest.since > this.#window / parts) {
      newest = { since: now, offsets: new Map() };
      this.#parts.push(newest);
      // The oldest ended where the next one began.
      while ((this.#parts[1]?.since ?? now) < now - this.#window) this.#parts.shift();
    }
    // A copy: what was cut out of a header keeps all of the header.
    newest.offsets.set(Buffer.from(key, "latin1").toString("latin1"), offset);
  }
}
