import { createServer, type Server, type Socket } from "node:net";
import { listen } from "../http/listen.ts";

/** An instance, as the port sees it. */
export interface Taker {
  /** Whether it takes connections: `ready` before `starting`, which answers but does not serve yet; `no` gets none. */
  readonly takes: "ready" | "starting" | "no";
  /** Connections it was given, and has not closed. */
  readonly load: number;
  /** Connections it was given, and has not received yet. */
  readonly waiting: number;
  give(socket: Socket): void;
}

/** An instance that has not received this many of its connections does not hear: others come first. */
const hearing = 256;
/** Connections held at most while no instance takes any; further ones are closed. */
const mostHeld = 1000;

/**
 * The port that all instances share. It accepts, and gives each connection to the instance with the fewest open ones; among equals chance decides:
 * taking turns would let every visitor's WebSocket, the third connection of a browser each time, meet on the same one of three.
 */
export class FrontDoor {
  readonly #takers: () => readonly Taker[];
  readonly #held: Socket[] = [];
  // What a half-closed connection means is for the HTTP server to say; small packets are not delayed there either (TCP_NODELAY stays with the socket).
  readonly #server: Server = createServer({ pauseOnConnect: true, allowHalfOpen: true, noDelay: true }, (socket) => {
    socket.on("error", ignore);
    this.let(socket);
  });

  constructor(takers: () => readonly Taker[]) {
    this.#takers = takers;
  }

  /** @returns the port. @throws ServerError cannotListen. */
  open(host: string, port: number): Promise<number> {
    return listen(this.#server, host, port);
  }

  /** Gives the connection to an instance; holds it while there is none. */
  let(socket: Socket): void {
    const taker = leastOf(this.#takers());
    if (taker !== undefined) taker.give(socket);
    else if (this.#server.listening && this.#held.length < mostHeld) this.#held.push(socket);
    else socket.destroy();
  }

  /** To be called when an instance begins to take connections. */
  opened(): void {
    for (const socket of this.#held.splice(0)) this.let(socket);
  }

  /** No further connections; those that no instance has are closed. */
  close(): void {
    if (this.#server.listening) this.#server.close();
    for (const socket of this.#held.splice(0)) socket.destroy();
  }
}

/** A connection that fails while it waits is found to be gone by the instance that gets it. */
function ignore(): void {}

function leastOf(takers: readonly Taker[]): Taker | undefined {
  const taking = takers.some(({ takes }) => takes === "ready") ? "ready" : "starting";
  let best: Taker | undefined;
  let equals = 0;
  for (const taker of takers) {
    if (taker.takes !== taking) continue;
    const difference = best === undefined ? -1 : compare(taker, best);
    if (difference > 0) continue;
    equals = difference < 0 ? 1 : equals + 1;
    if (Math.random() * equals < 1) best = taker;
  }
  return best;
}

function compare(a: Taker, b: Taker): number {
  return Number(a.waiting >= hearing) - Number(b.waiting >= hearing) || a.load - b.load;
}
