/**
 * In a cluster, a server confirms a subscription before the other servers know of it: what is published there in that moment never arrives. What follows on the same
 * connection takes the same way behind it, so whoever subscribed asks a question that comes to every server with instances, and waits for the answers.
 * One instance per server answers: those of a server are a queue group, named by the server.
 */
import { Shared } from "./shared.ts";

/** Milliseconds after which a server that does not answer counts as gone; it is back with its next answer. */
const patience = 250;
/** Servers that are remembered at most: names come from the broker. */
const most = 256;

export class Neighbours {
  readonly #ask: (mark: string) => void;
  readonly #confirming = new Shared(() => this.#question(0));
  readonly #known = new Set<string>();
  #missing = new Set<string>();
  #least = 0;
  #questions = 0;
  #answered: () => void = () => undefined;

  /** @param ask publishes the question; each server's answer ends in `answer`. */
  constructor(ask: (mark: string) => void) {
    this.#ask = ask;
  }

  /** Learns which servers have instances: of this many at most. */
  meet(servers: number): Promise<void> {
    return this.#question(servers);
  }

  /** Resolves once all servers with instances know of what this connection subscribed to before. */
  confirm(): Promise<void> {
    return this.#confirming.run();
  }

  /** An instance at this server is there. */
  here(server: string): void {
    if (this.#known.size < most) this.#known.add(server);
  }

  answer(mark: string, server: string): void {
    this.here(server);
    if (mark !== `${this.#questions}`) return;
    this.#missing.delete(server);
    this.#least--;
    if (this.#missing.size === 0 && this.#least <= 0) this.#answered();
  }

  async #question(least: number): Promise<void> {
    this.#missing = new Set(this.#known);
    this.#least = least;
    if (this.#missing.size === 0 && least <= 0) return;
    let timer: ReturnType<typeof setTimeout> | undefined;
    await new Promise<void>((resolve) => {
      this.#answered = resolve;
      timer = setTimeout(resolve, patience);
      this.#ask(`${++this.#questions}`);
    });
    clearTimeout(timer);
    for (const server of this.#missing) this.#known.delete(server);
  }
}
