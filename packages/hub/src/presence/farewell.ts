import type { Core } from "../core.ts";
import type { Occupancy } from "./occupancy.ts";

/** Milliseconds within which instances stop at the same moment: each may have asked who is left before it heard of the other. */
const sameMoment = 500;

/** What an instance that stops leaves empty, if it is the last. */
export class Farewell {
  readonly #core: Core;
  readonly #occupancy: Occupancy;
  readonly #channels: Set<string>;
  #alone: () => void = () => undefined;

  constructor(core: Core, occupancy: Occupancy, channels: Set<string>) {
    this.#core = core;
    this.#occupancy = occupancy;
    this.#channels = channels;
  }

  /** Another one stops as well, and leaves these channels. */
  joined(channels: ReadonlySet<string>): void {
    for (const channel of channels) this.#channels.add(channel);
    if (this.#isLast) this.#alone();
  }

  /** After the goodbye: the last one says what is empty now, and those that cannot tell which of them is the last all do. Resolves when the application has done what it does then. */
  async end(): Promise<void> {
    if (this.#channels.size === 0 || this.#core.hooks.vacated === undefined) return;
    if (!this.#isLast) await this.#others();
    if (this.#isLast) await Promise.all([...this.#channels].map((channel) => this.#occupancy.vacated(channel)));
  }

  get #isLast(): boolean {
    return this.#core.control.peers.live().length === 0;
  }

  /** Resolves when nobody is left, or those who are will be there for longer. */
  #others(): Promise<void> {
    return new Promise((resolve) => {
      const timer = this.#core.clock.setTimeout(resolve, sameMoment);
      this.#alone = () => {
        this.#core.clock.clearTimeout(timer);
        resolve();
      };
    });
  }
}
