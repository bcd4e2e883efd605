import type { WebSocketError } from "./errors.ts";

/**
 * A whole message. Its payload is `bytes[start, end)`, and borrowed: it stays valid until the next call of `next` or `feed`,
 * unless `owned`.
 */
export interface MessageEvent {
  readonly type: "message";
  /** Text (valid UTF-8 unless `compressed`) or binary. */
  readonly text: boolean;
  /** RFC 7692 §6: to be decompressed by the receiver, who then checks UTF-8 and the size. */
  readonly compressed: boolean;
  /** No byte is above 0x7f. */
  readonly ascii: boolean;
  /** Nobody else uses `bytes`: the receiver may keep it. */
  readonly owned: boolean;
  readonly bytes: Uint8Array;
  readonly start: number;
  readonly end: number;
}

/** A ping, which has been answered already, or a pong. The payload is the receiver's own. */
export interface ControlEvent {
  readonly type: "ping" | "pong";
  readonly bytes: Uint8Array;
}

/** The peer's close frame, which has been answered already. @see RFC 6455 §7.1.5 and §7.1.6 */
export interface CloseEvent {
  readonly type: "close";
  /** As received; 1005 when the frame had none. */
  readonly code: number;
  readonly reason: string;
}

/** The connection failed, RFC 6455 §7.1.7: send what `takeOutput` gives, then end the stream. Nothing more is read. */
export interface FailEvent {
  readonly type: "fail";
  readonly error: WebSocketError;
}

/** What a connection has to tell. */
export type ConnectionEvent = MessageEvent | ControlEvent | CloseEvent | FailEvent;
