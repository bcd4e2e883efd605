import type { IncomingHttpHeaders, IncomingMessage } from "node:http";
import type { Http2ServerRequest } from "node:http2";

/** A message's content: text is a string, binary is bytes. */
export type Message = string | Uint8Array;

/** What a client asked for when it asked to become a WebSocket. */
export interface UpgradeRequest {
  /** The request target's path, without its query. */
  readonly path: string;
  /** The query without `?`; empty when there is none. */
  readonly query: string;
  readonly headers: IncomingHttpHeaders;
  /** The `Origin` header; undefined when the client sent none (it is not a browser). */
  readonly origin: string | undefined;
  /** The subprotocols the client offers, in its order of preference. */
  readonly protocols: readonly string[];
  /** The peer's IP address; empty when the peer has already gone. */
  readonly remoteAddress: string;
  /** Whether the connection is TLS. */
  readonly secure: boolean;
  /** Node's own request, for what is not above. Nothing keeps it after `upgrade` has answered. */
  readonly raw: IncomingMessage | Http2ServerRequest;
}

/** Become a WebSocket: with one of the offered subprotocols or none, and the application's own data on the socket. */
export interface Accept<Data> {
  readonly data: Data;
  /** One of `request.protocols`; leave out for none. */
  readonly protocol?: string;
  /** Further headers of the 101 (or, over HTTP/2, 200) response. */
  readonly headers?: Readonly<Record<string, string>>;
}

/** Answer with an HTTP response instead. */
export interface Refuse {
  /** HTTP status, 300–599. */
  readonly status: number;
  readonly headers?: Readonly<Record<string, string>>;
  /** Response body, text. Default: the status's own name. */
  readonly body?: string;
}

/** One WebSocket connection, whatever carries it (HTTP/1.1 or HTTP/2). */
export interface Socket<Data = unknown> {
  /** The application's own data, as `upgrade` gave it. */
  data: Data;
  /** The negotiated subprotocol; empty for none. */
  readonly protocol: string;
  /** The negotiated extensions as in the response header; empty for none. */
  readonly extensions: string;
  readonly remoteAddress: string;
  readonly state: "open" | "closing" | "closed";
  /** Bytes accepted by `send` and not yet taken by the operating system. */
  readonly bufferedBytes: number;
  /**
   * Sends one message, or those prepared together. All that is sent within one tick leaves in one write.
   * @returns false when what is buffered is beyond `highWaterMark`: `drain` follows once it is empty again.
   *   A socket that is not open ignores the message and returns false.
   */
  send(message: Message | Prepared): boolean;
  /** Sends a ping, RFC 6455 §5.5.2. @param data at most 125 bytes; default none. */
  ping(data?: Message): void;
  /**
   * Starts the closing handshake, RFC 6455 §7.1.2; the peer that does not answer is cut off after `closeTimeout`.
   * @param code 1000–1003, 1007–1014 or 3000–4999; default 1000. @param reason at most 123 bytes of UTF-8.
   */
  close(code?: number, reason?: string): void;
  /** Cuts the connection now, without a closing handshake; `close` is called with code 1006. */
  terminate(): void;
}

/** Messages framed once, and compressed once per window size, that any number of sockets send. Made by `prepare`. */
export interface Prepared {
  /** In the order in which they are sent. */
  readonly messages: readonly Message[];
}

/** What an application does with its sockets: one object, shared by all of them. A handler that throws, or gives a promise that rejects, closes its socket with 1011 and is reported to `error`. */
export interface Handlers<Data = unknown> {
  /** Decides on an upgrade. Default: accept without a subprotocol, `data` undefined. */
  upgrade?(request: UpgradeRequest): Accept<Data> | Refuse | Promise<Accept<Data> | Refuse>;
  open?(socket: Socket<Data>): void;
  /** One whole message. Bytes are the receiver's own: they stay valid after the handler returns. */
  message?(socket: Socket<Data>, message: Message): void;
  /** The buffer of a socket whose `send` returned false is empty again. */
  drain?(socket: Socket<Data>): void;
  /** The last call for a socket. @param code as received; 1005 none received, 1006 no closing handshake. */
  close?(socket: Socket<Data>, code: number, reason: string): void;
  /** What went wrong on one socket (a protocol violation, a limit, a reset), before its `close`. */
  error?(socket: Socket<Data>, error: Error): void;
}
