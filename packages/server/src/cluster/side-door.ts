import type { Server } from "node:http";
import type { Socket } from "node:net";
import type { ToPrimary } from "./messages.ts";

/** Within how many milliseconds the primary process learns of connections that came and went. */
const tellAfter = 20;

/** Where connections reach an instance: the port belongs to the primary process, which passes them on. */
export class SideDoor {
  readonly #say: (message: ToPrimary) => void;
  #server: Server | undefined;
  #taken = 0;
  #open = 0;
  #timer: NodeJS.Timeout | undefined;
  #shut: (() => void) | undefined;
  #emptied: (() => void) | undefined;

  constructor(say: (message: ToPrimary) => void) {
    this.#say = say;
  }

  /** From now on connections go to this server. */
  open(server: Server): void {
    this.#server = server;
    // A server that listens watches its connections (`headersTimeout`, `requestTimeout`, `closeIdleConnections`) from this event on.
    server.emit("listening");
    this.#say({ type: "open" });
  }

  /** @param socket undefined: it was closed on its way. */
  take(socket: Socket | undefined): void {
    this.#taken++;
    this.#tellSoon();
    if (socket === undefined) return;
    this.#open++;
    socket.on("close", this.#left);
    socket.allowHalfOpen = true; // as those that the server accepts itself
    this.#server?.emit("connection", socket);
  }

  /** Asks for no further connections. @returns once there are none any more. */
  async close(): Promise<void> {
    if (this.#server === undefined) return;
    const shut = new Promise<void>((resolve) => (this.#shut = resolve));
    this.#say({ type: "closing" });
    await shut;
    this.#server.close();
    if (this.#open > 0) await new Promise<void>((resolve) => (this.#emptied = resolve));
  }

  /** The primary process sends no further ones. */
  closed(): void {
    this.#shut?.();
  }

  readonly #left = (): void => {
    this.#open--;
    if (this.#open === 0) this.#emptied?.();
    this.#tellSoon();
  };

  #tellSoon(): void {
    if (this.#timer !== undefined) return;
    this.#timer = setTimeout(() => {
      this.#timer = undefined;
      this.#say({ type: "tally", taken: this.#taken, open: this.#open });
    }, tellAfter);
  }
}
