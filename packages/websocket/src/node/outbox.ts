import type { Duplex } from "node:stream";
import { frameHeaderLength, MAX_FRAME_HEADER, writeFrameHeader } from "../core/frame.ts";
import { applyMask } from "../core/mask.ts";
import type { MaskKey } from "../core/mask.ts";
import { writeText } from "./internals.ts";
import { Run } from "./run.ts";

/** What the outbox keeps per socket. */
export interface Sender {
  readonly stream: Duplex;
  /** What waits to be written before what the socket has in the open region; undefined: nothing. */
  waiting: Run | undefined;
  /** Bytes that the stream held right after the last write to it: it holds no more now. */
  unsent: number;
  /** Whether the next flush of all sockets comes to this one. */
  marked: boolean;
  /** Whether `drained` is to be called when what was written has left. */
  readonly draining: boolean;
  /** What was written has left, or the stream has failed. */
  drained(): void;
  /** A client's source of masking keys, RFC 6455 §5.3; undefined on a server. */
  readonly mask: (() => MaskKey) | undefined;
}

/** A slab holds what all sockets send in one tick, usually. */
const SLAB = 256 * 1024;
/** A slab that grew for a large message is kept up to this size. */
const LARGEST_KEPT_SLAB = 8 * 1024 * 1024;
/** Up to this many UTF-16 units, room for the worst case (3 bytes each) is reserved instead of counting. */
const SHORT_TEXT = 8 * 1024;
/** A socket with this many bytes waiting is written to within the tick, which bounds what a loop of sends holds. */
const EAGER = 64 * 1024;
/** Chunks are joined into one write up to this size; beyond it the copy costs more than a gathering write. */
const JOIN = 128 * 1024;

/**
 * Gathers what sockets send, so that all frames of one socket in one tick leave in one write: the system call is what
 * costs. Frames are encoded straight into a slab that all sockets share. The part of the slab that one socket is
 * filling is the open region; when another socket sends, it is sealed and waits. Once written, and the operating
 * system has taken everything (`writableLength` is 0), its place is reused at once.
 */
class Outbox {
  #slab: Buffer = Buffer.allocUnsafeSlow(SLAB);
  #position = 0;
  /** Some stream still holds a part of the slab below `#position`. */
  #held = false;
  #owner: Sender | undefined;
  #start = 0;
  #marked: Sender[] = [];
  #scheduled = false;
  /** The socket whose own handler is running: it is flushed when the handler is done. */
  #active: Sender | undefined;
  /** The run that the sockets of a broadcast begin with. */
  #first: Run | undefined;

  /** Bytes that a socket has waiting here. */
  waiting(sender: Sender): number {
    const sealed = sender.waiting === undefined ? 0 : sender.waiting.size;
    return this.#owner === sender ? sealed + this.#position - this.#start : sealed;
  }

  /** Appends one frame with a text payload. @param first the frame's first byte. @returns the payload's length in bytes. */
  text(sender: Sender, first: number, text: string): number {
    const units = text.length;
    const key = sender.mask?.();
    const masked = key !== undefined;
    // Room for the worst case is cheaper than counting, while texts are short.
    let length = units > SHORT_TEXT ? Buffer.byteLength(text) : units;
    const most = units > SHORT_TEXT ? length : units * 3;
    const at = this.#reserve(sender, most + MAX_FRAME_HEADER);
    const slab = this.#slab;
    // Most texts are ASCII: the header for that, moved in the rare case that the bytes need a longer one.
    let payload = at + frameHeaderLength(length, masked);
    length = writeText(slab, text, payload, most);
    const start = at + frameHeaderLength(length, masked);
    if (start !== payload) {
      slab.copyWithin(start, payload, payload + length);
      payload = start;
    }
    writeFrameHeader(slab, at, first, length, key);
    if (masked) applyMask(slab, payload, payload + length, key);
    this.#commit(sender, payload + length);
    return length;
  }

  /** Appends one frame with these bytes, which are copied. */
  bytes(sender: Sender, first: number, bytes: Uint8Array): void {
    const key = sender.mask?.();
    const at = this.#reserve(sender, bytes.length + MAX_FRAME_HEADER);
    const payload = writeFrameHeader(this.#slab, at, first, bytes.length, key);
    this.#slab.set(bytes, payload);
    if (key !== undefined) applyMask(this.#slab, payload, payload + bytes.length, key);
    this.#commit(sender, payload + bytes.length);
  }

  /** Appends bytes as they are, which are copied. */
  raw(sender: Sender, bytes: Uint8Array): void {
    const at = this.#reserve(sender, bytes.length);
    this.#slab.set(bytes, at);
    this.#commit(sender, at + bytes.length);
  }

  /** Appends text in Latin-1 as it is, such as the head of an HTTP response. */
  latin1(sender: Sender, text: string): void {
    const at = this.#reserve(sender, text.length);
    this.#commit(sender, at + this.#slab.write(text, at, "latin1"));
  }

  /** Appends bytes as they are, which are not copied and must never change. */
  shared(sender: Sender, bytes: Buffer): void {
    if (this.#owner === sender) this.#seal();
    if (sender.waiting !== undefined) {
      sender.waiting = sender.waiting.and(bytes);
    } else {
      if (this.#first?.chunk !== bytes) this.#first = new Run(undefined, bytes);
      sender.waiting = this.#first;
    }
    this.#mark(sender);
  }

  /** A socket's own handlers run: what they send to it leaves as soon as they are done. @returns what `leave` needs. */
  enter(sender: Sender): Sender | undefined {
    const before = this.#active;
    this.#active = sender;
    return before;
  }

  leave(sender: Sender, before: Sender | undefined): void {
    this.#active = before;
    if (!sender.marked) this.flush(sender);
  }

  /** Writes what one socket has waiting, now. */
  flush(sender: Sender): void {
    const { stream } = sender;
    const open = this.#owner === sender;
    if (!stream.writable) {
      if (open) this.#owner = undefined;
      sender.waiting = undefined;
      return;
    }
    if (sender.waiting === undefined) {
      if (!open) return;
      const start = this.#start;
      this.#owner = undefined;
      this.#write(sender, this.#slab.subarray(start, this.#position));
      sender.unsent = stream.writableLength;
      if (sender.unsent === 0) this.#position = start;
      else this.#held = true;
      return;
    }
    if (open) this.#seal();
    const run = sender.waiting;
    sender.waiting = undefined;
    if (run.size <= JOIN || run.whole !== undefined) {
      this.#write(sender, run.whole ?? this.#join(run));
    } else {
      stream.cork();
      for (const chunk of run.chunks) this.#write(sender, chunk);
      stream.uncork();
    }
    if (!this.#scheduled) this.#first = undefined; // what was sent to this one alone
    sender.unsent = stream.writableLength;
    if (sender.unsent !== 0) this.#held = true;
  }

  /** Calls `sender.drained` once all that was written to it has left. */
  watch(sender: Sender): void {
    if (this.waiting(sender) === 0) this.#write(sender, NOTHING);
  }

  #write(sender: Sender, chunk: Buffer): void {
    if (sender.draining) sender.stream.write(chunk, () => sender.drained());
    else sender.stream.write(chunk);
  }

  #join(run: Run): Buffer {
    // What follows is not to become a part of another socket's region.
    if (this.#owner !== undefined) this.#seal();
    const at = this.#room(run.size);
    for (const chunk of run.chunks) {
      this.#slab.set(chunk, this.#position);
      this.#position += chunk.length;
    }
    run.whole = this.#slab.subarray(at, this.#position);
    return run.whole;
  }

  /** Makes the open region `sender`'s, with room for `size` bytes more. @returns where to write them. */
  #reserve(sender: Sender, size: number): number {
    if (this.#owner !== sender) {
      if (this.#owner !== undefined) this.#seal();
      const at = this.#room(size);
      this.#owner = sender;
      this.#start = at;
      return at;
    }
    if (this.#position + size > this.#slab.length) {
      this.#seal();
      this.#start = this.#room(size);
      this.#owner = sender;
    }
    return this.#position;
  }

  /** Makes room for `size` bytes while no region is open. @returns where. */
  #room(size: number): number {
    if (this.#position + size > this.#slab.length) {
      // Regions that wait, and writes under way, keep the old slab alive as long as they need it.
      this.#slab = Buffer.allocUnsafeSlow(Math.max(SLAB, 2 ** Math.ceil(Math.log2(size))));
      this.#position = 0;
      this.#held = false;
    }
    return this.#position;
  }

  #commit(sender: Sender, position: number): void {
    this.#position = position;
    if (this.waiting(sender) >= EAGER) this.flush(sender);
    else this.#mark(sender);
  }

  /** Ends the open region: it waits as a chunk of its owner. */
  #seal(): void {
    const owner = this.#owner!;
    this.#owner = undefined;
    const region = this.#slab.subarray(this.#start, this.#position);
    owner.waiting = owner.waiting === undefined ? new Run(undefined, region) : owner.waiting.and(region);
  }

  #mark(sender: Sender): void {
    if (sender.marked || sender === this.#active) return;
    sender.marked = true;
    this.#marked.push(sender);
    if (this.#scheduled) return;
    this.#scheduled = true;
    // After all that this turn of the event loop reads: broadcasts of several reads leave together.
    setImmediate(this.#flushMarked);
  }

  readonly #flushMarked = (): void => {
    this.#scheduled = false;
    const marked = this.#marked;
    this.#marked = [];
    for (const sender of marked) {
      sender.marked = false;
      this.flush(sender);
    }
    this.#first = undefined;
    if (this.#held || this.#owner !== undefined || this.#marked.length > 0) return;
    this.#position = 0;
    if (this.#slab.length > LARGEST_KEPT_SLAB) this.#slab = Buffer.allocUnsafeSlow(SLAB);
  };
}

const NOTHING = Buffer.alloc(0);

/** The one outbox of this thread. */
export const outbox: Outbox = new Outbox();
