import { Socket } from "node:net";

/**
 * All that rests on Node's internals, and the checks that they are as expected. Each function says whether it could do
 * what it is for; where not, callers take the public way, which does the same, slower.
 *
 * Written for Node 20 to 26; a version whose internals look different is not touched.
 */

/** Called with how many bytes lie in the shared buffer; false pauses the stream. `this` is the stream. */
export type OnRead = (this: Socket, length: number, buffer: Uint8Array) => boolean;

interface Handle {
  useUserBuffer?: unknown;
}

/** net.Socket's fields for the `onread` option, which only those who connect may pass: a server's sockets have them too. */
interface ReadFields {
  readonly buffer: symbol;
  readonly callback: symbol;
  readonly generator: symbol;
}

function findReadFields(): ReadFields | undefined {
  const fields = new Map<string, symbol>();
  const socket = new Socket();
  for (const symbol of Object.getOwnPropertySymbols(socket)) fields.set(symbol.description ?? "", symbol);
  const buffer = fields.get("kBuffer");
  const callback = fields.get("kBufferCb");
  const generator = fields.get("kBufferGen");
  if (buffer === undefined || callback === undefined || generator === undefined) return undefined;
  const values = socket as unknown as Record<symbol, unknown>;
  const empty = values[buffer] === null && values[callback] === null && values[generator] === null;
  return empty ? { buffer, callback, generator } : undefined;
}

const readFields = findReadFields();

/**
 * Makes a TCP socket read into a buffer that others use too, instead of a fresh one per read, and give what it read
 * to `onRead` instead of a `data` event. Pausing, resuming, `end`, `close` and errors stay as they are.
 *
 * The stream must be flowing into nobody: what it has read already is taken with `read()` before.
 * @returns whether it does so now.
 */
export function shareReads(socket: Socket, buffer: Buffer, onRead: OnRead): boolean {
  // A TLS socket decrypts into buffers of its own; subclasses may have other ideas.
  if (readFields === undefined || Object.getPrototypeOf(socket) !== Socket.prototype) return false;
  const handle = (socket as unknown as { readonly _handle: Handle | null })._handle;
  if (handle === null || typeof handle.useUserBuffer !== "function") return false;
  const fields = socket as unknown as Record<symbol, unknown>;
  if (fields[readFields.buffer] !== null || fields[readFields.generator] !== null) return false;
  fields[readFields.buffer] = buffer;
  fields[readFields.callback] = onRead;
  (handle as { useUserBuffer(buffer: Buffer): void }).useUserBuffer(buffer);
  return true;
}
