import { Socket as NetSocket } from "node:net";
import type { DeflateWishes } from "../core/deflate.ts";
import type { WebSocketError } from "../core/errors.ts";
import type { Handlers, Message } from "./api.ts";
import { carry } from "./carry.ts";
import type { Dialled } from "./client-dial.ts";
import { freshMask } from "./client-mask.ts";
import { Compression } from "./compression.ts";
import { Deadlines } from "./deadlines.ts";
import { nodeLoops } from "./loops.ts";
import type { ServerLimits } from "./options.ts";
import { Rounds } from "./rounds.ts";
import type { Shell } from "./shell.ts";
import { EngineSocket } from "./socket.ts";

/** What a client's socket tells its owner. */
export interface ClientEvents {
  message(message: Message): void;
  failed(error: WebSocketError): void;
  /** The last call. @param code 1006 when there was no close frame. */
  closed(code: number, reason: string): void;
}

const handlers: Handlers<ClientEvents> = {
  message: (socket, message) => socket.data.message(message),
  error: (socket, error) => socket.data.failed(error as WebSocketError) /* as all that the engine reports */,
  close: (socket, code, reason) => socket.data.closed(code, reason),
};

/** What clients with the same limits share: timers, and the machinery of compression. */
interface Shared {
  readonly shell: Shell<ClientEvents>;
  readonly compression: Compression | undefined;
}

const shared: Map<string, Shared> = new Map();

function sharedBy(limits: ServerLimits): Shared {
  const key = JSON.stringify(limits);
  const known = shared.get(key);
  if (known !== undefined) return known;
  const { compression, maxMessage, internals } = limits;
  const sockets = new Set<EngineSocket<ClientEvents>>();
  const made: Shared = {
    shell: {
      handlers,
      connection: {
        role: "client",
        mask: freshMask,
        maxMessage,
        maxFrame: limits.maxFrame,
        maxFragments: limits.maxFragments,
        loops: nodeLoops,
      },
      highWaterMark: limits.highWaterMark,
      maxBuffered: limits.maxBuffered,
      overflow: limits.overflow,
      sockets,
      closing: new Deadlines(limits.closeTimeout, (socket) => socket.cutOff()),
      silence: new Rounds(sockets, limits.pingInterval / 2, (socket) => socket.lookForSilence()),
      pinged: new Deadlines(limits.pingTimeout, (socket) => socket.expectAnswer()),
    },
    compression: compression && new Compression(compression, "client", maxMessage, internals),
  };
  shared.set(key, made);
  return made;
}

/** What a client with these limits offers, RFC 7692 §7.1; undefined: no compression. */
export function deflateWishes(limits: ServerLimits): DeflateWishes | undefined {
  return sharedBy(limits).compression?.wishes;
}

/** Makes a socket of a connection whose handshake is done. Events come only once `start` was called. */
export function clientSocket(
  dialled: Dialled,
  limits: ServerLimits,
  events: ClientEvents,
): { readonly socket: EngineSocket<ClientEvents>; start(): void } {
  const { stream, head, protocol, extensions, deflate } = dialled;
  let remoteAddress = "";
  if (stream instanceof NetSocket) {
    stream.setTimeout(0);
    stream.setNoDelay(true);
    remoteAddress = stream.remoteAddress ?? "";
  }
  const { shell, compression } = sharedBy(limits);
  const socket = new EngineSocket(shell, stream, events, {
    protocol,
    extensions,
    remoteAddress,
    compression: deflate && compression?.forSocket(deflate),
  });
  return { socket, start: () => carry(stream, socket, head, limits.internals) };
}
