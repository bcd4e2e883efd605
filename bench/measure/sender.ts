import type { Wire } from "./connect.ts";
import type { Ring } from "./frames.ts";

/** Sends a ring's messages in order, any number at a time. */
export class Sender {
  #next = 0;
  readonly #wire: Wire;
  readonly #ring: Ring;
  constructor(wire: Wire, ring: Ring) {
    this.#wire = wire;
    this.#ring = ring;
  }

  send(count: number): void {
    const { bytes, offsets, payloads } = this.#ring;
    for (let left = count; left > 0;) {
      const end = Math.min(this.#next + left, payloads.length);
      this.#wire.write(bytes.subarray(offsets[this.#next], offsets[end]));
      left -= end - this.#next;
      this.#next = end % payloads.length;
    }
  }
}
