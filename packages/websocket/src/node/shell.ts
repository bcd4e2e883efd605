import type { ConnectionSettings } from "../core/connection.ts";
import type { Handlers } from "./api.ts";
import type { Deadlines } from "./deadlines.ts";
import type { Rounds } from "./rounds.ts";
import type { EngineSocket } from "./socket.ts";

/** What all sockets of one server, or one client, have in common. */
export interface Shell<Data> {
  readonly handlers: Handlers<Data>;
  readonly connection: ConnectionSettings;
  readonly highWaterMark: number;
  readonly maxBuffered: number;
  readonly overflow: "close" | "drop";
  /** Open sockets and those closing. */
  readonly sockets: Set<EngineSocket<Data>>;
  /** Sockets whose closing handshake, or the end of whose stream, is awaited. */
  readonly closing: Deadlines<EngineSocket<Data>>;
  /** Looks at each socket for silence. */
  readonly silence: Rounds<EngineSocket<Data>>;
  /** Sockets that were pinged. */
  readonly pinged: Deadlines<EngineSocket<Data>>;
}
