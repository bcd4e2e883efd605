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
    this.#wire.write(bytes.subarray(offsets[this.#next], offsets[this.#next + count]));
    this.#next = (this.#next + count) % payloads.length;
  }
}
