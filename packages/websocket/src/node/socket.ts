import { isAscii, isUtf8 } from "node:buffer";
import type { Http2Stream } from "node:http2";
import type { Duplex } from "node:stream";
import { closePayload, ReportedCloseCode } from "../core/close-code.ts";
import { Connection } from "../core/connection.ts";
import { WebSocketError } from "../core/errors.ts";
import type { ConnectionEvent, MessageEvent } from "../core/events.ts";
import type { MaskKey } from "../core/mask.ts";
import { FrameBit, Opcode } from "../core/opcode.ts";
import type { Message, Prepared, Socket } from "./api.ts";
import { aside } from "./aside.ts";
import type { MessageCompression } from "./compression.ts";
import { decodeAscii, decodeText } from "./internals.ts";
import { outbox } from "./outbox.ts";
import type { Sender } from "./outbox.ts";
import { Outgoing } from "./outgoing.ts";
import { ownBytes } from "./own-bytes.ts";
import { assertBytes, PreparedMessage, PreparedSeries } from "./prepared.ts";
import type { Run } from "./run.ts";
import type { Shell } from "./shell.ts";

/** RFC 9113 §7. */
const HTTP2_CANCEL = 0x8;
const TEXT = FrameBit.fin | Opcode.text;
const BINARY = FrameBit.fin | Opcode.binary;
/** Messages of this many compressed bytes and more are decompressed on other threads. */
const INFLATE_ASIDE = 32 * 1024;

interface Closed {
  readonly code: number;
  readonly reason: string;
}

const NOT_CLEANLY: Closed = { code: ReportedCloseCode.abnormal, reason: "" };

/** What the handshake agreed on. */
export interface Agreed {
  readonly protocol: string;
  readonly extensions: string;
  readonly remoteAddress: string;
  readonly compression?: MessageCompression | undefined;
}

/** One WebSocket on a byte stream: TCP, TLS, or a stream of HTTP/2. Both roles use it; `carry` gives it the stream's events. */
export class EngineSocket<Data> implements Socket<Data>, Sender {
  data: Data;
  readonly protocol: string;
  readonly extensions: string;
  readonly remoteAddress: string;
  readonly stream: Duplex;
  waiting: Run | undefined;
  unsent = 0;
  marked = false;
  /** `send` returned false, and the `drain` handler has not been called since. */
  draining = false;
  readonly #shell: Shell<Data>;
  readonly #connection: Connection;
  readonly #outgoing: Outgoing | undefined;
  /** A large message is being decompressed aside: nothing is read until it has been delivered. */
  #inflating = false;
  #state: "open" | "closing" | "closed" = "open";
  /** Something has arrived since the last look for silence. */
  #heard = true;
  /** How it was closed, so far as is known. */
  #end: Closed = NOT_CLEANLY;

  constructor(shell: Shell<Data>, stream: Duplex, data: Data, agreed: Agreed) {
    this.#shell = shell;
    this.stream = stream;
    this.data = data;
    this.protocol = agreed.protocol;
    this.extensions = agreed.extensions;
    this.remoteAddress = agreed.remoteAddress;
    this.#connection = new Connection(shell.connection, agreed.compression !== undefined);
    if (agreed.compression !== undefined) this.#outgoing = new Outgoing(this, agreed.compression);
    shell.sockets.add(this);
    shell.silence.start();
  }

  get state(): "open" | "closing" | "closed" {
    return this.#state;
  }

  get bufferedBytes(): number {
    const waiting = this.stream.writableLength + outbox.waiting(this);
    return this.#outgoing === undefined ? waiting : waiting + this.#outgoing.waiting;
  }

  send(message: Message | Prepared): boolean {
    if (message instanceof PreparedSeries) return this.#sendSeries(message);
    if (this.#state !== "open" || !this.#admits()) return false;
    if (this.#outgoing !== undefined) {
      if (typeof message !== "string" && !(message instanceof PreparedMessage)) assertBytes(message);
      this.#outgoing.send(message);
    } else if (typeof message === "string") {
      outbox.text(this, TEXT, message);
    } else if (message instanceof PreparedMessage) {
      // RFC 6455 §5.3: a client masks each frame anew, so it cannot share one.
      if (this.mask !== undefined) return this.send(message.message);
      outbox.shared(this, message.frame);
    } else {
      assertBytes(message);
      outbox.bytes(this, BINARY, message);
    }
    return this.#hasRoom();
  }

  #sendSeries(series: PreparedSeries): boolean {
    if (this.#outgoing !== undefined || this.mask !== undefined)
      return series.parts.map((part) => this.send(part)).at(-1)!;
    if (this.#state !== "open" || !this.#admits()) return false;
    outbox.shared(this, series.frames);
    return this.#hasRoom();
  }

  ping(data: Message = ""): void {
    if (this.#state !== "open") return;
    if (typeof data !== "string") assertBytes(data);
    this.#connection.ping(typeof data === "string" ? Buffer.from(data) : data);
    this.#sendOutput();
  }

  close(code = 1000, reason = ""): void {
    this.startClosing(code, reason);
  }

  /** As `close`, but undefined sends no code, RFC 6455 §5.5.1. */
  startClosing(code: number | undefined, reason: string): void {
    closePayload(code, reason); // throws for what cannot be sent
    if (this.#state !== "open") return;
    this.#state = "closing";
    this.#shell.closing.add(this);
    const close = (): void => {
      this.#connection.close(code, reason);
      this.#sendOutput();
    };
    // RFC 6455 §5.5.1: no data frames after the close frame, so it waits for those that are still being compressed.
    this.#inOrder(close);
  }

  terminate(): void {
    if (this.#state === "closed") return;
    this.#state = "closing";
    this.#connection.end();
    this.#cut();
  }

  /** Whether the stream may bring more now. */
  get reads(): boolean {
    return !this.#inflating;
  }

  /** The engine's side: the handshake is done, but for this answer, which leaves with what the `open` handler sends. */
  opened(answer: string): void {
    const before = outbox.enter(this);
    if (answer !== "") outbox.latin1(this, answer);
    this.#run(() => this.#shell.handlers.open?.(this));
    outbox.leave(this, before);
  }

  /** What the stream brought: `bytes[start, end)`. They may be overwritten, and are free again when this returns. */
  receive(bytes: Uint8Array, start: number, end: number): void {
    this.#heard = true;
    this.#connection.feed(bytes, start, end);
    if (this.#inflating) this.#connection.detach();
    else this.#read();
  }

  /** The peer sends nothing more. */
  ended(): void {
    // RFC 6455 §7.1.4: without a close frame from both sides this is not a clean close.
    if (!this.#connection.end()) this.#cut();
    else if (!this.stream.writableEnded) this.stream.end();
    if (this.#state === "open") this.#state = "closing";
  }

  /** The stream broke. */
  broke(cause: Error): void {
    if (this.#connection.state === "closed") return; // a reset after both close frames harms nobody
    this.#state = "closing";
    this.#report(new WebSocketError("RESET", cause.message, { cause }));
    this.#cut();
  }

  /** The stream is gone: nothing comes after this. */
  gone(): void {
    if (this.#state === "closed") return;
    const { sockets, closing, pinged, handlers } = this.#shell;
    this.#state = "closed";
    sockets.delete(this);
    closing.delete(this);
    pinged.delete(this);
    this.waiting = undefined;
    this.#outgoing?.close();
    this.#run(() => handlers.close?.(this, this.#end.code, this.#end.reason));
  }

  get mask(): (() => MaskKey) | undefined {
    return this.#shell.connection.mask;
  }

  drained(): void {
    if (!this.draining || this.#state === "closed" || this.bufferedBytes > 0) return;
    this.draining = false;
    const before = outbox.enter(this);
    this.#run(() => this.#shell.handlers.drain?.(this));
    outbox.leave(this, before);
  }

  /** Looked at for silence: pings a peer that has sent nothing since the last look. */
  lookForSilence(): void {
    if (this.#state !== "open") return;
    const { pinged } = this.#shell;
    if (this.#heard) {
      this.#heard = false;
      pinged.delete(this);
    } else if (!pinged.has(this)) {
      this.ping();
      pinged.add(this);
    }
  }

  /** The time for an answer to a ping is over. */
  expectAnswer(): void {
    // Timers come before reads: after a pause of this process, the answer may have arrived and not been read yet.
    setImmediate(() => {
      if (this.#state !== "open" || this.#heard) return;
      this.#report(new WebSocketError("PEER_SILENT"));
      this.terminate();
    });
  }

  /** The time for the closing handshake is over. */
  cutOff(): void {
    if (this.#connection.state === "closeSent") this.#report(new WebSocketError("CLOSE_TIMEOUT"));
    this.terminate();
  }

  /** Does something once all messages that were sent before are on their way. */
  #inOrder(work: () => void): void {
    if (this.#outgoing === undefined) work();
    else this.#outgoing.inOrder(work);
  }

  /** Handles all that has been fed. */
  #read(): void {
    const connection = this.#connection;
    const before = outbox.enter(this);
    try {
      for (let event = connection.next(); event !== undefined; event = connection.next()) {
        if (event.type !== "message") {
          this.#control(event);
        } else if (event.compressed) {
          this.#inflate(event);
          if (this.#inflating) {
            connection.detach();
            this.stream.pause();
            break;
          }
        } else {
          this.#message(event);
        }
      }
      if (connection.hasOutput) this.#inOrder(() => this.#sendOutput());
    } finally {
      outbox.leave(this, before);
    }
  }

  #message(event: MessageEvent): void {
    if (this.#state !== "open") return; // RFC 6455 §5.5.1: after our close frame, messages need not be processed
    const { bytes, start, end } = event;
    if (event.text) {
      this.#deliver(event.ascii ? decodeAscii(bytes, start, end) : decodeText(bytes, start, end));
    } else {
      this.#deliver(event.owned && end === bytes.length ? bytes : ownBytes(bytes, start, end));
    }
  }

  #inflate(event: MessageEvent): void {
    if (this.#state !== "open") return;
    const { inflater, inflatesInContext } = this.#outgoing!.compression;
    const { text, bytes, start, end } = event;
    if (end - start < INFLATE_ASIDE || inflatesInContext) {
      try {
        this.#inflated(text, inflater.inflate(bytes, start, end));
      } catch (error) {
        this.#failed(error as WebSocketError);
      }
      return;
    }
    this.#inflating = true;
    const own = event.owned ? bytes.subarray(start, end) : ownBytes(bytes, start, end);
    const resume = (deliver: () => void): void => {
      if (this.#state === "closed") return;
      this.#inflating = false;
      deliver();
      this.#read();
      if (!this.#inflating) this.stream.resume();
    };
    aside(() => inflater.inflateAside(own)).then(
      (inflated) => resume(() => this.#inflated(text, inflated)),
      (error: WebSocketError) => resume(() => this.#failed(error)),
    );
  }

  /** @param bytes borrowed, or the receiver's own if they fill their memory. */
  #inflated(text: boolean, bytes: Buffer): void {
    if (!text) {
      this.#deliver(ownBytes(bytes, 0, bytes.length));
    } else if (isAscii(bytes)) {
      this.#deliver(bytes.toString("latin1"));
    } else if (isUtf8(bytes)) {
      this.#deliver(bytes.toString("utf8"));
    } else {
      this.#failed(new WebSocketError("INVALID_UTF8")); // RFC 6455 §8.1, on what RFC 7692 §6.2 gives
    }
  }

  /** What arrived cannot be processed, RFC 6455 §7.1.7. */
  #failed(error: WebSocketError): void {
    if (this.#state === "closed") return;
    this.#connection.fail(error);
    this.#report(error);
    this.#finish();
  }

  #deliver(message: Message): void {
    if (this.#state !== "open") return;
    const { handlers } = this.#shell;
    if (handlers.message === undefined) return;
    try {
      this.#watch(handlers.message(this, message));
    } catch (thrown) {
      this.#handlerFailed(thrown);
    }
  }

  #control(event: Exclude<ConnectionEvent, MessageEvent>): void {
    if (event.type === "close") {
      this.#end = event;
      this.#state = "closing";
      this.#shell.closing.add(this);
      // RFC 6455 §5.5.1: no data frames after the close frame, so its answer waits for those that are still being compressed.
      this.#inOrder(() => this.#finish());
    } else if (event.type === "fail") {
      this.#report(event.error);
      this.#finish();
    }
  }

  #cut(): void {
    // RFC 8441 §5: a TCP connection is reset, a stream of HTTP/2 gets RST_STREAM with CANCEL.
    if ("rstCode" in this.stream) (this.stream as Http2Stream).close(HTTP2_CANCEL);
    this.stream.destroy();
  }

  /** Nothing more is to be said: sends what waits, ends our side, and gives the peer time to end its own. */
  #finish(): void {
    this.#state = "closing";
    this.#outgoing?.close();
    this.#sendOutput();
    outbox.flush(this);
    // RFC 6455 §7.1.1: the server ends the stream first; a client waits for that, unless the connection failed.
    if (this.#shell.connection.role === "server" || this.#connection.state === "failed") this.stream.end();
    this.#shell.closing.add(this);
  }

  #sendOutput(): void {
    for (const chunk of this.#connection.takeOutput()) outbox.raw(this, chunk);
    if (this.bufferedBytes > this.#shell.maxBuffered && this.#state === "open") this.#tooSlow();
  }

  /** As `bufferedBytes` or more, without asking the stream, which costs as much as writing a short frame. */
  #bufferedAtMost(): number {
    const waiting = this.unsent + outbox.waiting(this);
    return this.#outgoing === undefined ? waiting : waiting + this.#outgoing.waiting;
  }

  /** Whether a message is still taken. */
  #admits(): boolean {
    const { maxBuffered, overflow } = this.#shell;
    if (this.#bufferedAtMost() <= maxBuffered || this.bufferedBytes <= maxBuffered) return true;
    if (overflow === "close") this.#tooSlow();
    else this.#hasRoom();
    return false;
  }

  #tooSlow(): void {
    this.#report(new WebSocketError("SLOW_CONSUMER", `${this.bufferedBytes} bytes, limit ${this.#shell.maxBuffered}`));
    this.terminate();
  }

  #hasRoom(): boolean {
    const { highWaterMark } = this.#shell;
    if (this.#bufferedAtMost() <= highWaterMark || this.bufferedBytes <= highWaterMark) return true;
    if (!this.draining) {
      this.draining = true;
      outbox.watch(this);
    }
    return false;
  }

  /** Runs a handler: one that throws costs its socket, nothing else. */
  #run(handler: () => unknown): void {
    try {
      this.#watch(handler());
    } catch (thrown) {
      this.#handlerFailed(thrown);
    }
  }

  /** An asynchronous handler that rejects is one that throws: it must not end the process. */
  #watch(result: unknown): void {
    if (result instanceof Promise) result.catch((thrown: unknown) => this.#handlerFailed(thrown));
  }

  #handlerFailed(cause: unknown): void {
    const error = new WebSocketError("HANDLER_FAILED", cause instanceof Error ? cause.message : String(cause), {
      cause,
    });
    if (this.#state === "open") this.#failed(error);
    else this.#report(error);
  }

  #report(error: WebSocketError): void {
    const { handlers } = this.#shell;
    if (handlers.error === undefined) {
      // A bug in the application must be seen; what peers do wrong is their business.
      if (error.code === "HANDLER_FAILED") process.emitWarning(error.cause instanceof Error ? error.cause : error);
      return;
    }
    try {
      handlers.error(this, error);
    } catch (thrown) {
      process.emitWarning(thrown instanceof Error ? thrown : new Error(String(thrown)));
    }
  }
}
