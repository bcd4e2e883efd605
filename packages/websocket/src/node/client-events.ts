import type { WebSocketError } from "../core/errors.ts";

/** A message arrived: the `MessageEvent` of the HTML standard, § 9.1, as far as WebSockets fill it. */
export class MessageEvent extends Event {
  /** A string for text; a `Blob` or an `ArrayBuffer` for binary, as `binaryType` says. */
  // oxlint-disable-next-line typescript/no-explicit-any -- as in every DOM typing: code written for browsers must compile unchanged
  readonly data: any;
  /** The origin of the WebSocket's URL, such as `wss://example.com`. */
  readonly origin: string;
  readonly lastEventId: string = "";
  readonly source: null = null;
  readonly ports: readonly never[] = noPorts;

  constructor(data: unknown, origin: string) {
    super("message");
    this.data = data;
    this.origin = origin;
  }
}

const noPorts: readonly never[] = Object.freeze([]);

/** The connection has ended: WebSockets Standard, § 6. */
export class CloseEvent extends Event {
  /** Whether both sides' closing frames were exchanged. */
  readonly wasClean: boolean;
  /** As received; 1005 when the peer's closing frame had none, 1006 when there was no closing frame. RFC 6455 §7.1.5. */
  readonly code: number;
  /** As received; empty when there was none. RFC 6455 §7.1.6. */
  readonly reason: string;

  constructor(wasClean: boolean, code: number, reason: string) {
    super("close");
    this.wasClean = wasClean;
    this.code = code;
    this.reason = reason;
  }
}

/** The connection failed; `close` follows. Browsers hide why; here `error` says it. */
export class ErrorEvent extends Event {
  readonly error: WebSocketError;
  readonly message: string;

  constructor(error: WebSocketError) {
    super("error");
    this.error = error;
    this.message = error.message;
  }
}

// `event instanceof MessageEvent` must hold for the platform's own classes too, where it has them (Node 20: MessageEvent;
// later: all three). Their constructors check and convert every argument, which costs more than the dispatch, so only the prototypes are linked.
for (const [name, own] of [
  ["MessageEvent", MessageEvent],
  ["CloseEvent", CloseEvent],
  ["ErrorEvent", ErrorEvent],
] as const) {
  const platform = (globalThis as Record<string, unknown>)[name];
  if (typeof platform === "function") Object.setPrototypeOf(own.prototype, platform.prototype as object);
}
