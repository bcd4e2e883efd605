import type { Duplex } from "node:stream";
import type { EngineSocket } from "./socket.ts";

const SOCKET = Symbol("zuruf.websocket");

interface Carrier extends Duplex {
  [SOCKET]?: EngineSocket<unknown>;
}

// One function per event for all streams, instead of closures per stream: that is a good part of what an idle connection costs.

function onData(this: Carrier, chunk: Uint8Array): void {
  this[SOCKET]!.receive(chunk, 0, chunk.length);
}

function onEnd(this: Carrier): void {
  this[SOCKET]!.ended();
}

function onError(this: Carrier, error: Error): void {
  this[SOCKET]!.broke(error);
}

function onClose(this: Carrier): void {
  this[SOCKET]!.gone();
}

/**
 * Lets a byte stream carry a WebSocket whose handshake is done: gives the socket all that the stream does from now on.
 * @param head what has been read from the stream already.
 */
export function carry<Data>(stream: Duplex, socket: EngineSocket<Data>, head: Uint8Array): void {
  const carrier: Carrier = stream;
  carrier[SOCKET] = socket as EngineSocket<unknown>;
  stream.on("error", onError);
  stream.on("close", onClose);
  stream.on("end", onEnd);
  socket.opened();
  if (head.length > 0) socket.receive(head, 0, head.length);
  stream.on("data", onData);
}
