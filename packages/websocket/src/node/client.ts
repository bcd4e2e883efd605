import { Blob } from "node:buffer";
import { ReportedCloseCode } from "../core/close-code.ts";
import { WebSocketError } from "../core/errors.ts";
import { isToken } from "../core/header-values.ts";
import type { Message } from "./api.ts";
import { dial } from "./client-dial.ts";
import type { Dialled } from "./client-dial.ts";
import { CloseEvent, ErrorEvent, MessageEvent } from "./client-events.ts";
import { readClientOptions } from "./client-options.ts";
import type { ResolvedClientOptions, WebSocketOptions } from "./client-options.ts";
import { Outgoing } from "./client-outgoing.ts";
import type { Sendable } from "./client-outgoing.ts";
import { clientSocket, deflateWishes } from "./client-shell.ts";
import { Turns } from "./client-turns.ts";
import { webSocketUrl } from "./client-url.ts";

/** The events of a `WebSocket`, by type. */
export interface WebSocketEventMap {
  readonly open: Event;
  readonly message: MessageEvent;
  readonly error: ErrorEvent;
  readonly close: CloseEvent;
}

/** What is called for an event: a function, or an object with `handleEvent`. */
export type WebSocketListener<E extends Event> =
  | ((this: WebSocket, event: E) => unknown)
  | { handleEvent(event: E): unknown };

type PlatformListener = Parameters<EventTarget["addEventListener"]>[1];
type AddOptions = Parameters<EventTarget["addEventListener"]>[2];
type RemoveOptions = Parameters<EventTarget["removeEventListener"]>[2];
type Handler<E extends Event> = ((this: WebSocket, event: E) => unknown) | null;

/** An event handler attribute that is set: the listener calls whatever the handler is by then. */
interface Attribute {
  handler: (this: WebSocket, event: Event) => unknown;
  readonly listener: (event: Event) => unknown;
}

/**
 * A WebSocket client with the interface that browsers have: WebSockets Standard, https://websockets.spec.whatwg.org/.
 *
 * Code written for browsers runs unchanged. The third argument has what only Node can do. Where a browser would hide why
 * a connection failed, the `error` event says it in `error`, a `WebSocketError`.
 */
export class WebSocket extends EventTarget {
  static readonly CONNECTING = 0;
  static readonly OPEN = 1;
  static readonly CLOSING = 2;
  static readonly CLOSED = 3;
  declare readonly CONNECTING: 0;
  declare readonly OPEN: 1;
  declare readonly CLOSING: 2;
  declare readonly CLOSED: 3;

  readonly #url: URL;
  readonly #outgoing: Outgoing = new Outgoing();
  readonly #turns: Turns = new Turns(this);
  readonly #handlers: Map<string, Attribute> = new Map();
  #giveUp: ((reason: WebSocketError) => void) | undefined;
  #readyState: 0 | 1 | 2 | 3 = 0;
  #binaryType: "blob" | "arraybuffer" = "blob";
  #protocol = "";
  #extensions = "";

  /**
   * Connects. `open` follows, or `error` and `close`.
   * @param url absolute, `ws:` or `wss:` (or `http:` and `https:`, which mean the same), without a fragment.
   * @param protocols subprotocols to offer, in order of preference: distinct tokens. @param options see `WebSocketOptions`.
   * @throws DOMException SyntaxError for a bad URL or subprotocol; WebSocketError INVALID_OPTION for a bad option.
   */
  constructor(url: string | URL, protocols: string | readonly string[] = [], options: WebSocketOptions = {}) {
    super();
    this.#url = webSocketUrl(String(url));
    const offered = typeof protocols === "string" ? [protocols] : [...protocols];
    if (!offered.every(isToken) || new Set(offered).size !== offered.length) {
      throw new DOMException("subprotocols are distinct tokens: letters, digits and !#$%&'*+-.^_`|~", "SyntaxError");
    }
    const resolved = readClientOptions(options);
    this.#giveUp = dial(this.#url, offered, resolved, deflateWishes(resolved.limits), {
      opened: (dialled) => this.#opened(dialled, resolved),
      failed: (error) => {
        this.#failed(error);
        this.#closed(false, 1006, "");
      },
    });
  }

  /** The URL as it was resolved: `ws:` or `wss:`. */
  get url(): string {
    return this.#url.href;
  }

  /** CONNECTING 0, OPEN 1, CLOSING 2, CLOSED 3. */
  get readyState(): 0 | 1 | 2 | 3 {
    // The peer has started the closing handshake, and all that it sent before was seen.
    if (this.#readyState === WebSocket.OPEN && !this.#outgoing.isOpen && this.#turns.none) return WebSocket.CLOSING;
    return this.#readyState;
  }

  /** Bytes of payload given to `send` and not yet taken by the operating system. It does not fall when the connection closes. */
  get bufferedAmount(): number {
    return this.#outgoing.bytes;
  }

  /** The subprotocol the server chose; empty for none, and before `open`. */
  get protocol(): string {
    return this.#protocol;
  }

  /** The extensions the server agreed to, as in its header; empty for none, and before `open`. */
  get extensions(): string {
    return this.#extensions;
  }

  /** What binary messages arrive as: "blob" (default) or "arraybuffer". Other values are ignored, as in browsers. */
  get binaryType(): "blob" | "arraybuffer" {
    return this.#binaryType;
  }

  set binaryType(type: "blob" | "arraybuffer") {
    if (type === "blob" || type === "arraybuffer") this.#binaryType = type;
  }

  get onopen(): Handler<Event> {
    return this.#handler("open");
  }

  set onopen(handler: Handler<Event>) {
    this.#handle("open", handler);
  }

  get onmessage(): Handler<MessageEvent> {
    return this.#handler("message");
  }

  set onmessage(handler: Handler<MessageEvent>) {
    this.#handle("message", handler);
  }

  get onerror(): Handler<ErrorEvent> {
    return this.#handler("error");
  }

  set onerror(handler: Handler<ErrorEvent>) {
    this.#handle("error", handler);
  }

  get onclose(): Handler<CloseEvent> {
    return this.#handler("close");
  }

  set onclose(handler: Handler<CloseEvent>) {
    this.#handle("close", handler);
  }

  override addEventListener<K extends keyof WebSocketEventMap>(
    type: K,
    listener: WebSocketListener<WebSocketEventMap[K]> | null,
    options?: AddOptions,
  ): void;
  override addEventListener(type: string, listener: WebSocketListener<Event> | null, options?: AddOptions): void;
  override addEventListener(type: string, listener: WebSocketListener<never> | null, options?: AddOptions): void {
    super.addEventListener(type, listener as PlatformListener, options);
  }

  override removeEventListener<K extends keyof WebSocketEventMap>(
    type: K,
    listener: WebSocketListener<WebSocketEventMap[K]> | null,
    options?: RemoveOptions,
  ): void;
  override removeEventListener(type: string, listener: WebSocketListener<Event> | null, options?: RemoveOptions): void;
  override removeEventListener(type: string, listener: WebSocketListener<never> | null, options?: RemoveOptions): void {
    super.removeEventListener(type, listener as PlatformListener, options);
  }

  /**
   * Sends a message: text for a string, binary for the rest. What is sent within one tick leaves in one write.
   * Bytes are copied; a Blob holds back what follows it until it has been read. A closing or closed socket only counts the bytes.
   * @throws DOMException InvalidStateError before `open`.
   */
  send(data: Sendable): void {
    if (this.#readyState === WebSocket.CONNECTING) {
      throw new DOMException("not open yet: send after the `open` event", "InvalidStateError");
    }
    this.#outgoing.send(data, this.#readyState === WebSocket.OPEN);
  }

  /**
   * Closes the connection, with a closing handshake if it is open; `close` follows.
   * @param code 1000 or 3000–4999; default none. @param reason at most 123 bytes of UTF-8.
   * @throws DOMException InvalidAccessError for another code, SyntaxError for a longer reason.
   */
  close(code?: number, reason = ""): void {
    const valid = code === undefined ? undefined : closeCode(code);
    const text = usvString(reason);
    if (Buffer.byteLength(text) > 123) {
      throw new DOMException("a close reason is at most 123 bytes of UTF-8", "SyntaxError");
    }
    if (this.#readyState >= WebSocket.CLOSING) return;
    const connecting = this.#readyState === WebSocket.CONNECTING;
    this.#readyState = WebSocket.CLOSING;
    if (connecting) this.#giveUp?.(new WebSocketError("CLOSED_EARLY"));
    // WebSockets Standard, § 3.1: a reason without a code goes with 1000.
    else this.#outgoing.close(valid ?? (text === "" ? undefined : 1000), text);
  }

  /** Cuts the connection without a closing handshake, which browsers cannot; `close` follows with code 1006. */
  terminate(): void {
    if (this.#readyState === WebSocket.CONNECTING) this.close();
    else this.#outgoing.terminate();
  }

  #opened(dialled: Dialled, options: ResolvedClientOptions): void {
    this.#giveUp = undefined;
    this.#protocol = dialled.protocol;
    this.#extensions = dialled.extensions;
    const opened = clientSocket(dialled, options.limits, {
      message: (message) => {
        this.#turns.give(() => {
          // WebSockets Standard, § 4: what arrives after `close` was called is not shown.
          if (this.#readyState !== WebSocket.OPEN) return undefined;
          return new MessageEvent(this.#received(message), this.#url.origin);
        });
      },
      failed: (error) => this.#failed(error),
      closed: (code, reason) => this.#closed(code !== ReportedCloseCode.abnormal, code, reason),
    });
    this.#outgoing.open(opened.socket);
    this.#readyState = WebSocket.OPEN;
    this.#turns.give(() => new Event("open"));
    opened.start();
  }

  #failed(error: WebSocketError): void {
    this.#turns.give(() => new ErrorEvent(error));
  }

  #closed(clean: boolean, code: number, reason: string): void {
    this.#turns.give(() => {
      this.#readyState = WebSocket.CLOSED;
      return new CloseEvent(clean, code, reason);
    });
  }

  /** A message as its listeners see it: `binaryType` is looked at when its turn comes. */
  #received(message: Message): string | ArrayBuffer | Blob {
    if (typeof message === "string") return message;
    if (this.#binaryType === "blob") return new Blob([message]);
    const { buffer, byteLength } = message;
    // Nobody but the listener must see the memory behind an ArrayBuffer: a view of a larger one is copied.
    return buffer instanceof ArrayBuffer && buffer.byteLength === byteLength ? buffer : new Uint8Array(message).buffer;
  }

  #handler<E extends Event>(type: string): Handler<E> {
    return this.#handlers.get(type)?.handler ?? null;
  }

  /** Event handler attributes, HTML § 8.1.8.1: one listener each, at the place where it was first set. */
  #handle(type: string, handler: unknown): void {
    const set = this.#handlers.get(type);
    if (typeof handler !== "function") {
      if (set === undefined) return;
      this.#handlers.delete(type);
      super.removeEventListener(type, set.listener);
    } else if (set === undefined) {
      const entry: Attribute = {
        handler: handler as Attribute["handler"],
        listener: (event) => entry.handler.call(this, event),
      };
      this.#handlers.set(type, entry);
      super.addEventListener(type, entry.listener);
    } else {
      set.handler = handler as Attribute["handler"];
    }
  }
}

// Constants of the interface are on its instances too, Web IDL § 3.7.5.
for (const name of ["CONNECTING", "OPEN", "CLOSING", "CLOSED"] as const) {
  Object.defineProperty(WebSocket.prototype, name, { value: WebSocket[name], enumerable: true });
}

/** Callers without types may pass anything: Web IDL converts. */
function usvString(given: unknown): string {
  return String(given);
}

/** Web IDL's `[Clamp] unsigned short`, then WebSockets Standard, § 3.1. */
function closeCode(given: unknown): number {
  const number = Number(given);
  const code = Number.isNaN(number) ? 0 : Math.round(Math.min(Math.max(number, 0), 65_535));
  if (code === 1000 || (code >= 3000 && code <= 4999)) return code;
  throw new DOMException(`close code ${String(given)}; use 1000 or 3000–4999`, "InvalidAccessError");
}
