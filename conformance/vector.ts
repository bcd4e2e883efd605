import { readFileSync } from "node:fs";

/** Bytes in hexadecimal, spaces allowed; or the same bytes many times over, where writing them out would help nobody. */
export type Bytes = string | { readonly repeat: string; readonly times: number };
/** Text, or the same text many times over. */
export type Text = string | { readonly repeat: string; readonly times: number };

/** What an endpoint reports to its application. */
export type VectorEvent =
  | { readonly type: "message"; readonly text: Text }
  | { readonly type: "message"; readonly binary: readonly Bytes[] }
  | { readonly type: "ping" | "pong"; readonly data: string }
  /** RFC 6455 §7.1.5, §7.1.6; code 1005 when the close frame had none. */
  | { readonly type: "close"; readonly code: number; readonly reason: string };

/** A frame that an endpoint sends by itself. */
export interface Answer {
  readonly frame: "pong" | "close";
  /** Its payload after unmasking, in hexadecimal. */
  readonly payload: string;
}

/**
 * What arrives, and what an endpoint must make of it, however the bytes are split.
 *
 * `role` is the receiver's: a server's vectors are masked as clients send, a client's are not.
 */
export interface Vector {
  readonly id: string;
  readonly section: string;
  readonly says: string;
  readonly role: "server" | "client";
  /**
   * Present where permessage-deflate must have been agreed. `context`: the sender may refer to earlier messages;
   * `windowBits`: the sender's window is at least 2 to this power.
   */
  readonly deflate?: { readonly context: boolean; readonly windowBits: number };
  readonly bytes: readonly Bytes[];
  readonly events: readonly VectorEvent[];
  readonly answers: readonly Answer[];
  /**
   * Afterwards the connection is `open`, `closed` (both close frames exchanged), or has failed (RFC 6455 §7.1.7) for a reason that one
   * of these status codes tells the peer.
   */
  readonly outcome: "open" | "closed" | { readonly fails: readonly number[] };
}

/** What an application sends, and its bytes on the wire. */
export interface SendingVector {
  readonly id: string;
  readonly section: string;
  readonly says: string;
  /** The sender's. */
  readonly role: "server" | "client";
  /** The masking key of every frame when the role is `client`, in hexadecimal. */
  readonly mask?: string;
  readonly sends:
    | { readonly text: Text }
    | { readonly binary: readonly Bytes[] }
    | { readonly ping: string }
    | { readonly pong: string }
    | { readonly close: { readonly code?: number; readonly reason?: string } };
  readonly bytes: readonly Bytes[];
}

/** A request that a server must accept or refuse, or a response that a client must. */
export interface HandshakeVector {
  readonly id: string;
  readonly section: string;
  readonly says: string;
  /** Who reads `head`. */
  readonly role: "server" | "client";
  /** The request or response, lines ended by CRLF, with the empty line at its end. */
  readonly head: string;
  /** For a client: the key that it sent, and the subprotocols and extensions that it offered. */
  readonly sent?: { readonly key: string; readonly protocols: readonly string[]; readonly deflate: boolean };
  /** For a server: the Sec-WebSocket-Accept of its answer. */
  readonly accept?: string;
  /** Whether the handshake succeeds; for a server that refuses, the HTTP statuses that are right. */
  readonly outcome: "open" | "fails" | { readonly refuses: readonly number[] };
}

/** One permessage-deflate offer, and what a server that wants nothing in particular makes of it. */
export interface OfferVector {
  readonly id: string;
  readonly section: string;
  readonly says: string;
  /** The value of Sec-WebSocket-Extensions. */
  readonly offer: string;
  /** `declines`, or what the answer must bind the two sides to. */
  readonly outcome:
    | "declines"
    | {
        readonly serverNoContextTakeover: boolean;
        /** The largest window that the server may use afterwards. */
        readonly serverMaxWindowBits: number;
        /** The answer must not have client_max_window_bits (it was not offered), or at most this. */
        readonly clientMaxWindowBits: number | "absent";
        /** A server may decline where its deflate cannot: zlib's raw streams begin at a window of 2^9. */
        readonly mayDecline?: true;
      };
}

/** An answer to an offer, and whether a client may go on. */
export interface AnswerVector {
  readonly id: string;
  readonly section: string;
  readonly says: string;
  readonly offered: {
    readonly serverNoContextTakeover: boolean;
    readonly clientNoContextTakeover: boolean;
    readonly serverMaxWindowBits: number;
    readonly clientMaxWindowBits: number;
  };
  readonly answer: string;
  readonly outcome: "open" | "fails";
}

/** The files in `vectors/`, by what they hold. */
export interface Files {
  readonly frames: readonly Vector[];
  readonly deflate: readonly Vector[];
  readonly sending: readonly SendingVector[];
  readonly handshake: readonly HandshakeVector[];
  readonly offers: readonly OfferVector[];
  readonly answers: readonly AnswerVector[];
}

/** Reads one file of `vectors/`. */
export function load<Name extends keyof Files>(name: Name): Files[Name] {
  return JSON.parse(readFileSync(new URL(`vectors/${name}.json`, import.meta.url), "utf8")) as Files[Name];
}

export function bytesOf(parts: readonly Bytes[]): Buffer {
  return Buffer.concat(
    parts.map((part) => {
      if (typeof part === "string") return Buffer.from(part.replaceAll(" ", ""), "hex");
      const once = Buffer.from(part.repeat.replaceAll(" ", ""), "hex");
      return Buffer.alloc(once.length * part.times, once);
    }),
  );
}

export function textOf(text: Text): string {
  return typeof text === "string" ? text : text.repeat.repeat(text.times);
}
