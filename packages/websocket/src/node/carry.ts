import { Socket as NetSocket } from "node:net";
import type { Duplex } from "node:stream";
import { shareReads } from "./internals.ts";
import { readBuffer } from "./read-buffer.ts";
import type { EngineSocket } from "./socket.ts";

const SOCKET = Symbol("zuruf.websocket");

interface Carrier extends Duplex {
  [SOCKET]?: EngineSocket<unknown>;
}

// One function per event for all streams, instead of closures per stream: that is a good part of what an idle connection costs.

function onData(this: Carrier, chunk: Uint8Array): void {
  bring(this[SOCKET]!, chunk);
}

/**
 * In place of a socket's own `push`, which goes through the stream's queue and looks on the next tick, for each read,
 * whether to read on. Sockets do that anyway until `push` says no, so what flows to nobody else needs none of it.
 */
function onPush(this: Carrier, chunk: unknown, encoding?: BufferEncoding): boolean {
  const direct = chunk instanceof Uint8Array && this.readableFlowing === true && this.readableLength === 0;
  // Paused, ended, something waits already, or somebody else listens too: as sockets have it, with `data` when it flows.
  if (!direct || this.listenerCount("data") !== 1) return NetSocket.prototype.push.call(this, chunk, encoding);
  bring(this[SOCKET]!, chunk);
  return true;
}

function onRead(this: Carrier, length: number): boolean {
  this[SOCKET]!.receive(readBuffer, 0, length);
  return true;
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

/** Copies what arrived into the shared buffer, where unmasking is fastest, and nothing of the chunk is kept. */
function bring(socket: EngineSocket<unknown>, chunk: Uint8Array): void {
  if (chunk.length > readBuffer.length) {
    socket.receive(chunk, 0, chunk.length);
    return;
  }
  readBuffer.set(chunk);
  socket.receive(readBuffer, 0, chunk.length);
}

/** Whether a stream reads on without being asked, as sockets do, TLS or not; other streams, and subclasses, wait for `_read`. */
function readsOn(stream: Duplex): boolean {
  const sockets: { readonly push: unknown; readonly _read: unknown } = NetSocket.prototype;
  return stream instanceof NetSocket && stream.push === sockets.push && stream._read === sockets._read;
}

/**
 * Lets a byte stream carry a WebSocket whose handshake is done: gives the socket all that the stream does from now on.
 * @param head what has been read from the stream already.
 * @param internals whether Node's internals may be used.
 * @param answer what is to be written in front of the first frame, in Latin-1.
 */
export function carry<Data>(
  stream: Duplex,
  socket: EngineSocket<Data>,
  head: Uint8Array,
  internals: boolean,
  answer = "",
): void {
  const carrier: Carrier = stream;
  const carried = socket as EngineSocket<unknown>;
  carrier[SOCKET] = carried;
  stream.on("error", onError);
  stream.on("close", onClose);
  stream.on("end", onEnd);
  socket.opened(answer);
  if (head.length > 0) bring(carried, head);
  const early = stream.readableLength > 0 ? (stream.read() as Uint8Array | null) : null;
  if (early !== null) bring(carried, early);
  if (!(internals && stream instanceof NetSocket && shareReads(stream, readBuffer, onRead))) {
    stream.on("data", onData);
    if (readsOn(stream)) stream.push = onPush;
  }
  if (carried.reads) stream.resume();
}
