import type { Socket } from "node:net";

/** How an instance counts the connections that it was given. */
export interface Tally {
  /** Connections received so far. */
  readonly taken: number;
  /** Of these, open now. */
  readonly open: number;
}

/** The connections that one life of an instance was given, seen from the primary process. */
export class Guests {
  /** Given, not yet known to be received; oldest first. */
  readonly #underWay: Socket[] = [];
  #open = 0;
  #taken = 0;

  get load(): number {
    return this.#open + this.#underWay.length;
  }
  get waiting(): number {
    return this.#underWay.length;
  }

  give(socket: Socket): void {
    this.#underWay.push(socket);
  }

  told({ taken, open }: Tally): void {
    this.#underWay.splice(0, taken - this.#taken);
    this.#taken = taken;
    this.#open = open;
  }

  /** The life ended. @returns the connections that never left this process; the others under way ended with it. */
  ended(): readonly Socket[] {
    this.#open = 0;
    this.#taken = 0;
    // A socket that was sent, or whose peer is gone, knows no address any more.
    return this.#underWay.splice(0).filter((socket) => {
      if (socket.remoteAddress !== undefined) return true;
      socket.destroy();
      return false;
    });
  }
}
