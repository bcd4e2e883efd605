/**
 * Every error of this package: its stable code, the close code the peer is told (0: the peer is told nothing),
 * and what it means. Nothing else is thrown or reported.
 */
export const errorTable: Readonly<Record<WebSocketErrorCode, readonly [closeCode: number, meaning: string]>> = {
  // What a peer did wrong on an open connection.
  RESERVED_BITS: [1002, "a frame has a reserved bit set that no negotiated extension uses"],
  UNKNOWN_OPCODE: [1002, "a frame has an opcode that RFC 6455 does not define"],
  NOT_MASKED: [1002, "a client sent a frame without a mask"],
  MASKED: [1002, "a server sent a masked frame"],
  CONTROL_FRAGMENTED: [1002, "a control frame is fragmented"],
  CONTROL_TOO_LONG: [1002, "a control frame carries more than 125 bytes"],
  LENGTH_NOT_MINIMAL: [1002, "a frame's length is not in its shortest form"],
  LENGTH_TOO_LARGE: [1002, "a frame's 64-bit length has its highest bit set"],
  CONTINUATION_WITHOUT_START: [1002, "a continuation frame follows no unfinished message"],
  MESSAGE_UNFINISHED: [1002, "a new message starts before the last one has ended"],
  CLOSE_PAYLOAD: [1002, "a close frame carries one byte, which is no status code"],
  CLOSE_CODE: [1002, "a close frame carries a status code that must not be sent"],
  INVALID_UTF8: [1007, "a text message or close reason is not UTF-8"],
  INVALID_DEFLATE: [1007, "a compressed message does not decompress"],
  FRAME_TOO_LARGE: [1009, "a frame is larger than maxFrame; raise it if such frames are expected"],
  MESSAGE_TOO_LARGE: [1009, "a message is larger than maxMessage; raise it if such messages are expected"],
  TOO_MANY_FRAGMENTS: [1008, "a message has more frames than maxFragments; raise it if the peer fragments that finely"],
  // What happened to a connection.
  RESET: [0, "the connection ended without a closing handshake"],
  PEER_SILENT: [0, "the peer sent nothing within pingTimeout after a ping"],
  CLOSE_TIMEOUT: [0, "the peer did not finish the closing handshake within closeTimeout"],
  SLOW_CONSUMER: [0, "the peer reads too slowly: more than maxBuffered bytes were waiting"],
  HANDLER_FAILED: [1011, "a handler threw; see `cause`"],
  // What a handshake lacks.
  HANDSHAKE_INVALID: [0, "the opening handshake is not acceptable"],
  HANDSHAKE_TOO_LARGE: [0, "the opening handshake is larger than maxHeader"],
  HANDSHAKE_TIMEOUT: [0, "the opening handshake did not finish within handshakeTimeout"],
  HANDSHAKE_REFUSED: [0, "the server answered the opening handshake with another status"],
  CONNECT_FAILED: [0, "the server cannot be reached; see `cause`"],
  CLOSED_EARLY: [0, "the WebSocket was closed before it was open"],
  // What the caller did wrong.
  INVALID_OPTION: [0, "an option has a value outside its range"],
  INVALID_ARGUMENT: [0, "an argument has the wrong type or is outside its range"],
  INVALID_ANSWER: [0, "`upgrade` gave an answer that cannot be sent"],
};

/** The stable code of an error of this package. */
export type WebSocketErrorCode =
  | "RESERVED_BITS"
  | "UNKNOWN_OPCODE"
  | "NOT_MASKED"
  | "MASKED"
  | "CONTROL_FRAGMENTED"
  | "CONTROL_TOO_LONG"
  | "LENGTH_NOT_MINIMAL"
  | "LENGTH_TOO_LARGE"
  | "CONTINUATION_WITHOUT_START"
  | "MESSAGE_UNFINISHED"
  | "CLOSE_PAYLOAD"
  | "CLOSE_CODE"
  | "INVALID_UTF8"
  | "INVALID_DEFLATE"
  | "FRAME_TOO_LARGE"
  | "MESSAGE_TOO_LARGE"
  | "TOO_MANY_FRAGMENTS"
  | "RESET"
  | "PEER_SILENT"
  | "CLOSE_TIMEOUT"
  | "SLOW_CONSUMER"
  | "HANDLER_FAILED"
  | "HANDSHAKE_INVALID"
  | "HANDSHAKE_TOO_LARGE"
  | "HANDSHAKE_TIMEOUT"
  | "HANDSHAKE_REFUSED"
  | "CONNECT_FAILED"
  | "CLOSED_EARLY"
  | "INVALID_OPTION"
  | "INVALID_ARGUMENT"
  | "INVALID_ANSWER";

/** Whatever goes wrong in this package; `code` is one of `errorTable`'s and stays the same between versions. */
export class WebSocketError extends Error {
  override readonly name: string = "WebSocketError";
  readonly code: WebSocketErrorCode;

  /** @param detail what exactly, and what to do; it follows the code's meaning in the message. */
  constructor(code: WebSocketErrorCode, detail?: string, options?: { readonly cause?: unknown }) {
    super(detail === undefined ? errorTable[code][1] : `${errorTable[code][1]}: ${detail}`, options);
    this.code = code;
  }

  /** The close code that tells a peer of this error, RFC 6455 §7.4.1; 0 where nothing can be told. */
  get closeCode(): number {
    return errorTable[this.code][0];
  }
}
