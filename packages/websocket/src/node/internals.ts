import { Buffer } from "node:buffer";
import { Socket } from "node:net";
import { createDeflateRaw, createInflateRaw } from "node:zlib";
import type { DeflateRaw, InflateRaw, ZlibOptions } from "node:zlib";

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

/** What `toString` and `write` come down to, without their checks of arguments, which take as long as converting a short text. */
interface Conversions {
  latin1Slice(this: Uint8Array, start: number, end: number): string;
  utf8Slice(this: Uint8Array, start: number, end: number): string;
  utf8Write(this: Uint8Array, text: string, at: number, most: number): number;
}

function findConversions(): Conversions | undefined {
  if (process.env["ZURUF_NO_INTERNALS"] === "1") return undefined;
  const { latin1Slice, utf8Slice, utf8Write } = Buffer.prototype as unknown as Partial<Conversions>;
  if (latin1Slice === undefined || utf8Slice === undefined || utf8Write === undefined) return undefined;
  const sample = new Uint8Array(4);
  const written = utf8Write.call(sample, "aé", 1, 3);
  const texts = latin1Slice.call(sample, 1, 3) + utf8Slice.call(sample, 1, 4);
  return written === 3 && texts === "aÃaé" ? { latin1Slice, utf8Slice, utf8Write } : undefined;
}

const conversions = findConversions();

function viewed(bytes: Uint8Array): Buffer {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length);
}

/** Decodes bytes of which none is above 0x7f. */
export const decodeAscii: (bytes: Uint8Array, start: number, end: number) => string =
  conversions === undefined
    ? (bytes, start, end) => viewed(bytes).toString("latin1", start, end)
    : (bytes, start, end) => conversions.latin1Slice.call(bytes, start, end);

/** Decodes UTF-8. */
export const decodeText: (bytes: Uint8Array, start: number, end: number) => string =
  conversions === undefined
    ? (bytes, start, end) => viewed(bytes).toString("utf8", start, end)
    : (bytes, start, end) => conversions.utf8Slice.call(bytes, start, end);

/** Encodes UTF-8 at a place with room for `most` bytes. @returns how many it took. */
export const writeText: (bytes: Buffer, text: string, at: number, most: number) => number =
  conversions === undefined
    ? (bytes, text, at, most) => bytes.write(text, at, most)
    : (bytes, text, at, most) => conversions.utf8Write.call(bytes, text, at, most);

/** A raw deflate or inflate state of zlib's that is used synchronously, message after message, without a stream around it. */
export interface ZlibState {
  /** Bytes of the output that the last `run` left free. */
  readonly outputLeft: number;
  /** Bytes of the input that the last `run` left over. */
  readonly inputLeft: number;
  /** Runs zlib once. @param flush one of zlib's flush constants. @returns whether it went well. */
  run(flush: number, input: Uint8Array, at: number, length: number, output: Uint8Array, outputAt: number): boolean;
  /** Forgets the window. */
  reset(): void;
  /** Frees its memory now. */
  close(): void;
}

interface ZlibHandle {
  writeSync(
    flush: number,
    input: Uint8Array,
    at: number,
    length: number,
    output: Uint8Array,
    outputAt: number,
    room: number,
  ): void;
  reset(): void;
  onerror: (message: string, errno: number, code: string) => void;
}

class HandleState implements ZlibState {
  readonly #stream: DeflateRaw | InflateRaw;
  readonly #handle: ZlibHandle;
  readonly #left: Uint32Array;
  #failed = false;

  constructor(stream: DeflateRaw | InflateRaw, handle: ZlibHandle, left: Uint32Array) {
    this.#stream = stream;
    this.#handle = handle;
    this.#left = left;
    // oxlint-disable-next-line unicorn/prefer-add-event-listener -- zlib's handle is no event target; it calls this property
    handle.onerror = () => {
      this.#failed = true;
    };
  }

  get outputLeft(): number {
    return this.#left[0]!;
  }

  get inputLeft(): number {
    return this.#left[1]!;
  }

  run(flush: number, input: Uint8Array, at: number, length: number, output: Uint8Array, outputAt: number): boolean {
    this.#handle.writeSync(flush, input, at, length, output, outputAt, output.length - outputAt);
    return !this.#failed;
  }

  reset(): void {
    this.#handle.reset();
  }

  close(): void {
    this.#stream.close();
  }
}

/** @returns undefined where zlib's streams are not made as expected. */
export function openZlib(kind: "deflate" | "inflate", options: ZlibOptions): ZlibState | undefined {
  const stream = kind === "deflate" ? createDeflateRaw(options) : createInflateRaw(options);
  const { _handle: handle, _writeState: left } = stream as unknown as { _handle?: ZlibHandle; _writeState?: unknown };
  if (typeof handle?.writeSync !== "function" || typeof handle.reset !== "function") return undefined;
  if (!(left instanceof Uint32Array) || left.length !== 2) return undefined;
  return new HandleState(stream, handle, left);
}

let zlibAsExpected: boolean | undefined;

/** Whether `openZlib` gives something here. */
export function canOpenZlib(): boolean {
  if (zlibAsExpected === undefined) {
    const state = openZlib("inflate", {});
    zlibAsExpected = state !== undefined;
    state?.close();
  }
  return zlibAsExpected;
}
