import { Socket as NetSocket } from "node:net";
import type { Handlers, Message } from "./api.ts";
import { carry } from "./carry.ts";
import type { Dialled } from "./client-dial.ts";
import { freshMask } from "./client-mask.ts";
import { Deadlines } from "./deadlines.ts";
import { nodeLoops } from "./loops.ts";
import type { ServerLimits } from "./options.ts";
import type { Shell } from "./shell.ts";
import { EngineSocket } from "./socket.ts";

/** What a client's socket tells its owner. */
export interface ClientEvents {
  message(message: Message): void;
  failed(error: Error): void;
  /** The last call. @param code 1006 when there was no close frame. */
  closed(code: number, reason: string): void;
}

const handlers: Handlers<ClientEvents> = {
  message: (socket, message) => socket.data.message(message),
  error: (socket, error) => socket.data.failed(error),
  close: (socket, code, reason) => socket.data.closed(code, reason),
};

/** Clients with the same limits share a shell, and so its timers. */
const shells: Map<string, Shell<ClientEvents>> = new Map();

function shellFor(limits: ServerLimits): Shell<ClientEvents> {
  const key = JSON.stringify(limits);
  const known = shells.get(key);
  if (known !== undefined) return known;
  const sockets = new Set<EngineSocket<ClientEvents>>();
  const shell: Shell<ClientEvents> = {
    handlers,
    connection: {
      role: "client",
      mask: freshMask,
      maxMessage: limits.maxMessage,
      maxFrame: limits.maxFrame,
      maxFragments: limits.maxFragments,
      loops: nodeLoops,
    },
    highWaterMark: limits.highWaterMark,
    maxBuffered: limits.maxBuffered,
    overflow: limits.overflow,
    sockets,
    closing: new Deadlines(limits.closeTimeout, (socket) => socket.cutOff()),
    silent: new Deadlines(limits.pingInterval, (socket) => socket.lookForSilence()),
    pinged: new Deadlines(limits.pingTimeout, (socket) => socket.expectAnswer()),
  };
  shells.set(key, shell);
  return shell;
}

/** Makes a socket of a connection whose handshake is done. Events come only once `start` was called. */
export function clientSocket(
  dialled: Dialled,
  limits: ServerLimits,
  events: ClientEvents,
): { readonly socket: EngineSocket<ClientEvents>; start(): void } {
  const { stream, head, protocol, extensions } = dialled;
  let remoteAddress = "";
  if (stream instanceof NetSocket) {
    stream.setTimeout(0);
    stream.setNoDelay(true);
    remoteAddress = stream.remoteAddress ?? "";
  }
  const socket = new EngineSocket(shellFor(limits), stream, events, { protocol, extensions, remoteAddress });
  return { socket, start: () => carry(stream, socket, head) };
}
