import type { Core } from "../core.ts";
import { describe } from "../errors.ts";
import { inTime } from "../in-time.ts";
import type { PresenceChannel } from "./presence-channel.ts";

/** Tells the application which channels have somebody, over all instances, as far as this one is the one to say so. */
export class Occupancy {
  readonly #core: Core;

  constructor(core: Core) {
    this.#core = core;
  }

  /** The members of a channel that this instance follows may have changed. @param certain nobody is there that is not in the view. */
  seen(channel: PresenceChannel, certain: () => boolean): void {
    const occupied = channel.view.members > 0;
    if (occupied === channel.occupied || (!occupied && !certain())) return;
    channel.occupied = occupied;
    void this.#tell(occupied ? "occupied" : "vacated", channel.name);
  }

  occupied(channel: string): void {
    void this.#tell("occupied", channel);
  }

  /** Resolves when the application has done what it does then. */
  vacated(channel: string): Promise<void> {
    return this.#tell("vacated", channel);
  }

  async #tell(what: "occupied" | "vacated", channel: string): Promise<void> {
    const hook = this.#core.hooks[what];
    if (hook === undefined) return;
    // Not within whatever changed the view.
    await Promise.resolve();
    try {
      await inTime(this.#core, what === "occupied" ? "onOccupied" : "onVacated", hook(channel));
    } catch (error) {
      this.#core.log("error", "the onOccupied or onVacated hook failed", { channel, error: describe(error) });
    }
  }
}
