import type { ByteLoops } from "./byte-loops.ts";
import { portableLoops } from "./byte-loops.ts";
import { closePayload, isSendableCloseCode, ReportedCloseCode } from "./close-code.ts";
import { WebSocketError } from "./errors.ts";
import type { WebSocketErrorCode } from "./errors.ts";
import type { CloseEvent, ConnectionEvent, ControlEvent, FailEvent, MessageEvent } from "./events.ts";
import { encodeFrame, MAX_CONTROL_PAYLOAD, MAX_FRAME_HEADER } from "./frame.ts";
import type { MaskKey } from "./mask.ts";
import { rotateKey } from "./mask.ts";
import { FrameBit, Opcode } from "./opcode.ts";
import { reads, transitions } from "./state.ts";
import type { State, Step } from "./state.ts";
import { decodeUtf8, encodeUtf8 } from "./utf8.ts";

/** What a peer may make this side hold. */
export interface Limits {
  /** Bytes of payload in one message, as it arrives; at the limit is allowed. */
  readonly maxMessage: number;
  /** Bytes of payload in one frame. */
  readonly maxFrame: number;
  /** Frames in one message, empty ones included. */
  readonly maxFragments: number;
}

/** What all connections of one server or client have in common. */
export interface ConnectionSettings extends Limits {
  readonly role: "server" | "client";
  /** A fresh random 32-bit key for every frame, RFC 6455 §5.3. Clients need it, servers do not. */
  readonly mask?: () => MaskKey;
  /** Default: `portableLoops`. */
  readonly loops?: ByteLoops;
}

const NOTHING = new Uint8Array(0);
/** A message in pieces holds at most this many bytes, or `GROWTH` times what has arrived, whichever is more. */
const FIRST_PIECE = 4096;
const GROWTH = 4;

/** A message of which not all has arrived. */
interface Unfinished {
  readonly text: boolean;
  readonly compressed: boolean;
  /** Frames so far. */
  fragments: number;
  body: Uint8Array;
  length: number;
  /** The or of all bytes. */
  or: number;
}

/**
 * One WebSocket after its opening handshake, RFC 6455 §5 to §7, without any I/O.
 *
 * `feed` it what arrives, call `next` until it gives nothing, and send what `takeOutput` gives. Who does not call
 * `next` puts no more on the peer's side to read: that is backpressure. What it is fed may be overwritten (masks are
 * removed in place), and belongs to the caller again as soon as `next` gave undefined or `detach` was called.
 */
export class Connection {
  readonly #settings: ConnectionSettings;
  readonly #compression: boolean;
  /** A field, since V8 calls its runtime for a private getter. */
  readonly #loops: ByteLoops;
  #state: State = "open";
  #reading = true;
  #output: Uint8Array[] | undefined;
  #failure: FailEvent | undefined;

  // What has been fed and not read.
  #bytes: Uint8Array = NOTHING;
  #at = 0;
  #end = 0;
  /** The beginning of a header or of a control frame's payload, whose rest has not arrived. */
  #piece: Uint8Array | undefined;

  // The frame whose payload is being read: its first byte, its key from here on, its bytes to come (-1: between frames).
  #first = 0;
  #key: MaskKey = 0;
  #left = -1;
  /** The message whose frames are being read, unless it is all in one. */
  #message: Unfinished | undefined;

  /** @param compression whether permessage-deflate was agreed, RFC 7692: allows compressed messages. */
  constructor(settings: ConnectionSettings, compression = false) {
    this.#settings = settings;
    this.#compression = compression;
    this.#loops = settings.loops ?? portableLoops;
  }

  get state(): State {
    return this.#state;
  }

  /** Whether `takeOutput` has something. */
  get hasOutput(): boolean {
    return this.#output !== undefined;
  }

  /** What must be sent, in this order; each chunk is one frame and the caller's own. */
  takeOutput(): readonly Uint8Array[] {
    const output = this.#output ?? [];
    this.#output = undefined;
    return output;
  }

  /** Takes what has arrived: `bytes[start, end)`. All that was fed before must have been read, or detached. */
  feed(bytes: Uint8Array, start = 0, end: number = bytes.length): void {
    if (this.#at < this.#end) {
      const rest = this.#bytes.subarray(this.#at, this.#end);
      const joined = this.#loops.allocate(rest.length + end - start);
      joined.set(rest);
      joined.set(bytes.subarray(start, end), rest.length);
      this.#bytes = joined;
      this.#at = 0;
      this.#end = joined.length;
      return;
    }
    this.#bytes = bytes;
    this.#at = start;
    this.#end = end;
  }

  /** Copies what was fed and not read, so that the caller may reuse its memory before `next` has given undefined. */
  detach(): void {
    // Not `slice`, which on a Buffer copies nothing.
    if (this.#at < this.#end) this.#bytes = new Uint8Array(this.#bytes.subarray(this.#at, this.#end));
    else this.#bytes = NOTHING;
    this.#end -= this.#at;
    this.#at = 0;
  }

  /** Reads on. @returns the next event, or undefined when more must be fed first. */
  next(): ConnectionEvent | undefined {
    while (this.#reading) {
      if (this.#left < 0 && !this.#readHeader()) break;
      const event = (this.#first & 0x8) === 0 ? this.#readData() : this.#readControl();
      if (event !== undefined) return event;
      if (this.#left >= 0) break;
    }
    if (this.#failure !== undefined) {
      const failure = this.#failure;
      this.#failure = undefined;
      return failure;
    }
    this.#bytes = NOTHING;
    this.#at = this.#end = 0;
    return undefined;
  }

  /**
   * Queues one message as one frame for `takeOutput`. Ignored unless the state is `open`.
   * @param options `compressed`: the payload is compressed already, RFC 7692 §7.2.1.
   */
  send(message: string | Uint8Array, options: { readonly compressed?: boolean; readonly text?: boolean } = {}): void {
    if (this.#state !== "open") return;
    const text = options.text ?? typeof message === "string";
    const payload = typeof message === "string" ? encodeUtf8(message) : message;
    this.#push(text ? Opcode.text : Opcode.binary, payload, options.compressed ?? false);
  }

  /** Queues a ping, RFC 6455 §5.5.2. @param data at most 125 bytes; more throws INVALID_ARGUMENT. */
  ping(data: Uint8Array = NOTHING): void {
    this.#control125(data, "a ping's data");
    if (this.#state === "open") this.#push(Opcode.ping, data);
  }

  /** Queues an unsolicited pong, RFC 6455 §5.5.3. Pings are answered without it. @param data at most 125 bytes. */
  pong(data: Uint8Array = NOTHING): void {
    this.#control125(data, "a pong's data");
    if (this.#state === "open") this.#push(Opcode.pong, data);
  }

  /**
   * Starts the closing handshake, RFC 6455 §7.1.2. Ignored unless the state is `open`.
   * @param code one that may be sent; undefined sends none. @param reason at most 123 bytes of UTF-8.
   * @throws WebSocketError INVALID_ARGUMENT for any other.
   */
  close(code?: number, reason = ""): void {
    const payload = closePayload(code, reason);
    if (this.#state !== "open") return;
    this.#push(Opcode.close, payload);
    this.#step("sendClose");
  }

  /**
   * Fails the connection, RFC 6455 §7.1.7, for what the shell found: a message that does not decompress, a handler that threw.
   * The peer is told the error's close code, if it has one and no close frame was sent yet. Nothing more is read.
   */
  fail(error: WebSocketError): void {
    if (transitions[this.#state].fail === undefined) return;
    if (this.#state === "open" && error.closeCode !== 0) this.#push(Opcode.close, closePayload(error.closeCode, ""));
    this.#step("fail");
    this.#message = undefined;
  }

  /** The stream has ended, RFC 6455 §7.1.4. @returns whether both close frames had been exchanged (§7.1.5). */
  end(): boolean {
    const clean = this.#state === "closed";
    this.#step("end");
    this.#message = undefined;
    return clean;
  }

  #step(step: Step): void {
    const next = transitions[this.#state][step];
    if (next === undefined) throw new Error(`internal: ${step} in state ${this.#state}`);
    this.#state = next;
    this.#reading = reads[next];
  }

  #push(opcode: number, payload: Uint8Array, compressed = false): void {
    const { role, mask } = this.#settings;
    if (role === "server") {
      // RFC 6455 §5.1: a server MUST NOT mask.
      (this.#output ??= []).push(encodeFrame(opcode, payload, { compressed }));
      return;
    }
    if (mask === undefined) throw new WebSocketError("INVALID_OPTION", "a client connection needs `mask`");
    (this.#output ??= []).push(encodeFrame(opcode, payload, { compressed, key: mask() }));
  }

  #control125(data: Uint8Array, what: string): void {
    if (data.length > MAX_CONTROL_PAYLOAD) {
      throw new WebSocketError(
        "INVALID_ARGUMENT",
        `${what} is at most ${MAX_CONTROL_PAYLOAD} bytes, not ${data.length}`,
      );
    }
  }

  #broken(code: WebSocketErrorCode, detail?: string): false {
    const error = new WebSocketError(code, detail);
    this.fail(error);
    this.#failure = { type: "fail", error };
    this.#at = this.#end;
    return false;
  }

  /** Reads a frame's header, RFC 6455 §5.2. @returns whether it is whole and acceptable. */
  #readHeader(): boolean {
    let bytes = this.#bytes;
    let at = this.#at;
    let available = this.#end - at;
    if (this.#piece !== undefined) {
      available = this.#fillStash(this.#piece);
      bytes = this.#piece;
      at = 0;
    }
    const second = available < 2 ? 0 : bytes[at + 1]!;
    const short = second & 0x7f;
    const size = headerLength(second);
    if (available < size) {
      if (this.#piece === undefined && available > 0) {
        this.#piece = new Uint8Array(MAX_FRAME_HEADER + 1);
        this.#fillStash(this.#piece);
      }
      return false;
    }
    if (this.#piece === undefined) this.#at = at + size;
    else this.#piece = undefined;

    const first = bytes[at]!;
    const opcode = first & 0x0f;
    // RFC 6455 §5.2: reserved bits MUST be 0 unless an extension defines them; RFC 7692 §6 defines RSV1 on a message's first frame.
    if ((first & 0x70) !== 0) {
      const starts = opcode === Opcode.text || opcode === Opcode.binary;
      if ((first & 0x30) !== 0 || !this.#compression || !starts) return this.#broken("RESERVED_BITS");
    }
    // RFC 6455 §5.1: a client masks every frame, a server none.
    if ((second & 0x80) === 0) {
      if (this.#settings.role === "server") return this.#broken("NOT_MASKED");
      this.#key = 0;
    } else {
      if (this.#settings.role === "client") return this.#broken("MASKED");
      const key = at + size - 4;
      this.#key = bytes[key]! | (bytes[key + 1]! << 8) | (bytes[key + 2]! << 16) | (bytes[key + 3]! << 24);
    }
    let length = short;
    if (short === 126) {
      length = (bytes[at + 2]! << 8) | bytes[at + 3]!;
      if (length < 126) return this.#broken("LENGTH_NOT_MINIMAL"); // RFC 6455 §5.2
    } else if (short === 127) {
      if (bytes[at + 2]! > 0x7f) return this.#broken("LENGTH_TOO_LARGE"); // RFC 6455 §5.2
      length = readUint32(bytes, at + 2) * 0x1_0000_0000 + readUint32(bytes, at + 6);
      if (length < 65536) return this.#broken("LENGTH_NOT_MINIMAL");
    }
    this.#first = first;
    this.#left = length;
    return (opcode & 0x8) === 0 ? this.#startData(first, opcode, length) : this.#startControl(first, opcode, length);
  }

  /** Copies into a stash, whose last byte says how much it holds, until a header is whole or nothing is left. @returns how much it holds. */
  #fillStash(stash: Uint8Array): number {
    let at = this.#at;
    let stashed = stash[MAX_FRAME_HEADER]!;
    for (; at < this.#end; at++) {
      if (stashed >= 2 && stashed >= headerLength(stash[1]!)) break;
      stash[stashed++] = this.#bytes[at]!;
    }
    this.#at = at;
    stash[MAX_FRAME_HEADER] = stashed;
    return stashed;
  }

  #startData(first: number, opcode: number, length: number): boolean {
    const { maxFrame, maxMessage, maxFragments } = this.#settings;
    const message = this.#message;
    if (opcode > Opcode.binary) return this.#broken("UNKNOWN_OPCODE", `0x${opcode.toString(16)}`);
    if (message === undefined) {
      // RFC 6455 §5.4: a continuation continues a message.
      if (opcode === Opcode.continuation) return this.#broken("CONTINUATION_WITHOUT_START");
    } else {
      // RFC 6455 §5.4: the fragments of two messages MUST NOT be interleaved.
      if (opcode !== Opcode.continuation) return this.#broken("MESSAGE_UNFINISHED");
      if (++message.fragments > maxFragments) return this.#broken("TOO_MANY_FRAGMENTS", `limit ${maxFragments}`);
    }
    if (length > maxFrame) return this.#broken("FRAME_TOO_LARGE", `${length} bytes, limit ${maxFrame}`);
    const whole = message === undefined ? length : message.length + length;
    if (whole > maxMessage) return this.#broken("MESSAGE_TOO_LARGE", `${whole} bytes, limit ${maxMessage}`);
    if (message === undefined && ((first & FrameBit.fin) === 0 || this.#end - this.#at < length)) {
      const text = opcode === Opcode.text;
      const compressed = (first & FrameBit.compressed) !== 0;
      this.#message = { text, compressed, fragments: 1, body: NOTHING, length: 0, or: 0 };
    }
    return true;
  }

  #startControl(first: number, opcode: number, length: number): boolean {
    if (opcode > Opcode.pong) return this.#broken("UNKNOWN_OPCODE", `0x${opcode.toString(16)}`);
    // RFC 6455 §5.5: control frames MUST NOT be fragmented and carry at most 125 bytes.
    if ((first & FrameBit.fin) === 0) return this.#broken("CONTROL_FRAGMENTED");
    if (length > MAX_CONTROL_PAYLOAD) return this.#broken("CONTROL_TOO_LONG");
    return true;
  }

  #readData(): MessageEvent | undefined {
    const left = this.#left;
    const start = this.#at;
    const message = this.#message;
    if (message === undefined) {
      // The whole message lies in what was fed, in one piece.
      const end = start + left;
      const or = this.#loops.applyMask(this.#bytes, start, end, this.#key);
      this.#at = end;
      this.#left = -1;
      const text = (this.#first & 0x0f) === Opcode.text;
      return this.#finish(text, (this.#first & FrameBit.compressed) !== 0, or, this.#bytes, start, end, false);
    }
    const taken = Math.min(this.#end - start, left);
    if (taken > 0) {
      message.or |= this.#loops.applyMask(this.#bytes, start, start + taken, this.#key);
      this.#key = rotateKey(this.#key, taken);
      this.#append(message, start, taken);
      this.#at = start + taken;
      this.#left = left - taken;
    }
    if (this.#left > 0) return undefined;
    this.#left = -1;
    if ((this.#first & FrameBit.fin) === 0) return undefined;
    this.#message = undefined;
    return this.#finish(message.text, message.compressed, message.or, message.body, 0, message.length, true);
  }

  #append(message: Unfinished, start: number, taken: number): void {
    const needed = message.length + taken;
    if (message.body.length < needed) {
      // RFC 6455 §10.4: a declared length is a claim. Memory follows what has arrived.
      const declared = message.length + this.#left;
      const grown = this.#loops.allocate(Math.min(declared, Math.max(FIRST_PIECE, needed * GROWTH)));
      grown.set(message.body.subarray(0, message.length));
      message.body = grown;
    }
    message.body.set(this.#bytes.subarray(start, start + taken), message.length);
    message.length = needed;
  }

  #finish(
    text: boolean,
    compressed: boolean,
    or: number,
    bytes: Uint8Array,
    start: number,
    end: number,
    owned: boolean,
  ): MessageEvent | undefined {
    const ascii = or < 0x80;
    // RFC 6455 §8.1: text that is not UTF-8 fails the connection.
    if (text && !ascii && !compressed && !this.#loops.isUtf8(bytes, start, end)) {
      this.#broken("INVALID_UTF8");
      return undefined;
    }
    return { type: "message", text, compressed, ascii, owned, bytes, start, end };
  }

  #readControl(): ControlEvent | CloseEvent | undefined {
    const left = this.#left;
    const taken = Math.min(this.#end - this.#at, left);
    const control = (this.#piece ??= new Uint8Array(left));
    const filled = control.length - left;
    for (let i = 0; i < taken; i++) control[filled + i] = this.#bytes[this.#at + i]!;
    this.#at += taken;
    this.#left = left - taken;
    if (this.#left > 0) return undefined;
    this.#left = -1;
    this.#piece = undefined;
    if (this.#key !== 0) this.#loops.applyMask(control, 0, control.length, this.#key);
    const opcode = this.#first & 0x0f;
    if (opcode === Opcode.close) return this.#receiveClose(control);
    if (opcode === Opcode.pong) return { type: "pong", bytes: control };
    // RFC 6455 §5.5.2: a ping is answered with its own data, unless a close frame was sent.
    if (this.#state === "open") this.#push(Opcode.pong, control);
    return { type: "ping", bytes: control };
  }

  #receiveClose(payload: Uint8Array): CloseEvent | undefined {
    let code: number = ReportedCloseCode.none;
    let reason = "";
    if (payload.length === 1) {
      this.#broken("CLOSE_PAYLOAD"); // RFC 6455 §5.5.1: if there is a body, its first two bytes are the code
      return undefined;
    }
    if (payload.length >= 2) {
      code = (payload[0]! << 8) | payload[1]!;
      if (!isSendableCloseCode(code)) {
        this.#broken("CLOSE_CODE", String(code)); // RFC 6455 §7.4.1, §7.4.2
        return undefined;
      }
      if (!this.#loops.isUtf8(payload, 2, payload.length)) {
        this.#broken("INVALID_UTF8");
        return undefined;
      }
      reason = decodeUtf8(payload, 2);
    }
    this.#step("receiveClose");
    if (this.#state === "closeReceived") {
      // RFC 6455 §5.5.1: the answer typically echoes the status code.
      this.#push(Opcode.close, payload.subarray(0, 2));
      this.#step("sendClose");
    }
    this.#at = this.#end;
    return { type: "close", code, reason };
  }
}

/** A header's whole length, by its second byte, RFC 6455 §5.2. */
function headerLength(second: number): number {
  const short = second & 0x7f;
  return 2 + (short < 126 ? 0 : short === 126 ? 2 : 8) + ((second & 0x80) >>> 5);
}

function readUint32(bytes: Uint8Array, at: number): number {
  return ((bytes[at]! << 24) | (bytes[at + 1]! << 16) | (bytes[at + 2]! << 8) | bytes[at + 3]!) >>> 0;
}
