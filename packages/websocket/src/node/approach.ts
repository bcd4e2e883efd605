import { hash } from "node:crypto";
import type { IncomingMessage } from "node:http";
import { Socket as NetSocket } from "node:net";
import type { Duplex } from "node:stream";
import { ACCEPT_GUID } from "../core/accept-key.ts";
import { acceptResponse } from "../core/server-handshake.ts";
import type { HandshakeAnswer } from "../core/server-handshake.ts";
import type { UpgradeRequest } from "./api.ts";
import { refuse } from "./refuse.ts";
import { EngineRequest } from "./request.ts";

/** A peer that asked to become a WebSocket and waits for the answer: one interface for both versions of HTTP. */
export interface Approach {
  readonly carrier: "http1" | "http2";
  readonly stream: Duplex;
  /** What came behind the request. */
  readonly head: Uint8Array;
  readonly method: string;
  /** Bytes of its headers' names and values. */
  readonly headerSize: number;
  readonly remoteAddress: string;
  /** A header's value by its name in lower case. */
  header(name: string): string | undefined;
  /** What the application is shown. */
  request(protocols: readonly string[]): UpgradeRequest;
  /** Answers with a response instead and ends the stream. Does nothing once the stream is gone. */
  refuse(status: number, body?: string, headers?: Readonly<Record<string, string>>): void;
  /** Answers that the stream is a WebSocket from now on. @returns what is to be written in front of the first frame, in Latin-1. */
  accept(key: string, answer: HandshakeAnswer): string;
}

/** An upgrade of HTTP/1.1, RFC 6455 §4.2. */
export class Http1Approach implements Approach {
  readonly carrier = "http1";
  readonly stream: Duplex;
  readonly head: Uint8Array;
  readonly #request: IncomingMessage;

  constructor(request: IncomingMessage, stream: Duplex, head: Uint8Array) {
    this.#request = request;
    this.stream = stream;
    this.head = head;
  }

  get method(): string {
    return this.#request.method ?? "";
  }

  get headerSize(): number {
    let size = 0;
    for (const text of this.#request.rawHeaders) size += text.length;
    return size;
  }

  get remoteAddress(): string {
    return this.#request.socket.remoteAddress ?? "";
  }

  /** Looked for where it is: Node makes `headers` when it is asked for, which costs more than the few that are needed. */
  header(name: string): string | undefined {
    const { rawHeaders } = this.#request;
    let value: string | undefined;
    for (let i = 0; i < rawHeaders.length; i += 2) {
      const raw = rawHeaders[i]!;
      if (raw.length !== name.length || raw.toLowerCase() !== name) continue;
      const line = rawHeaders[i + 1]!;
      value = value === undefined ? line : `${value}, ${line}`;
    }
    return value;
  }

  request(protocols: readonly string[]): UpgradeRequest {
    return new EngineRequest(this.#request, protocols);
  }

  refuse(status: number, body?: string, headers?: Readonly<Record<string, string>>): void {
    refuse(this.stream, status, body, headers);
  }

  accept(key: string, answer: HandshakeAnswer): string {
    if (this.stream instanceof NetSocket) {
      this.stream.setTimeout(0);
      this.stream.setNoDelay(true);
    }
    return acceptResponse(key, answer, hash("sha1", key + ACCEPT_GUID, "base64"));
  }
}
