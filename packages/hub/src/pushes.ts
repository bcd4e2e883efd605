import type { PacketOf } from "@zuruf/protocol";
import type { Core } from "./core.ts";

/** How a client answered what the server asked of it; undefined: it is gone, or took too long. */
export type PushAnswer = PacketOf<"received"> | PacketOf<"result"> | PacketOf<"error"> | undefined;

/** What the server waits for from one connection: confirmations of direct messages and results of calls. */
export class Pushes {
  readonly #core: Core;
  readonly #waiting = new Map<number, (answer: PushAnswer) => void>();
  #ids = 0;

  constructor(core: Core) {
    this.#core = core;
  }

  get full(): boolean {
    return this.#waiting.size >= this.#core.limits.pendingPushes;
  }

  /** Sends with a fresh id and waits for the client, `timeout` ms at most. */
  send(timeout: number, send: (id: number) => void): Promise<PushAnswer> {
    return new Promise((resolve) => {
      do this.#ids = (this.#ids % 0xffff_ffff) + 1;
      while (this.#waiting.has(this.#ids));
      const id = this.#ids;
      const timer = this.#core.clock.setTimeout(() => {
        this.answered(id, undefined);
      }, timeout);
      this.#waiting.set(id, (answer) => {
        this.#core.clock.clearTimeout(timer);
        resolve(answer);
      });
      send(id);
    });
  }

  /** Whether the server waits for the answer with this id. */
  awaits(id: number): boolean {
    return this.#waiting.has(id);
  }

  /** An answer that nobody waits for (any more) is ignored. */
  answered(id: number, answer: PushAnswer): void {
    const resolve = this.#waiting.get(id);
    this.#waiting.delete(id);
    resolve?.(answer);
  }

  /** The connection is gone. */
  end(): void {
    for (const id of this.#waiting.keys()) this.answered(id, undefined);
  }
}
