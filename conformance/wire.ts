import { randomBytes } from "node:crypto";
import { type ClientHttp2Session, connect as connectHttp2 } from "node:http2";
import { connect as connectTcp, isIP, Socket } from "node:net";
import type { Duplex } from "node:stream";
import { connect as connectTls } from "node:tls";
import { constants, inflateRawSync } from "node:zlib";

/** Where a tested server is, and how to reach it. */
export interface Target {
  readonly url: URL;
  /** Accept a certificate that nobody signed. */
  readonly insecure: boolean;
  /** Milliseconds for each answer. */
  readonly timeout: number;
  /** Over HTTP/2, RFC 8441: the whole exchange is a stream of it. Default false. */
  readonly http2?: boolean;
}

/** A message or control frame as the server sent it. */
export type Received =
  | { readonly kind: "text" | "binary" | "ping" | "pong"; readonly payload: Buffer }
  | { readonly kind: "close"; readonly code: number; readonly payload: Buffer };

/** An HTTP response's head. */
export interface Head {
  readonly status: number;
  readonly headers: ReadonlyMap<string, string>;
  readonly text: string;
}

/** A raw connection: bytes out, bytes in, nothing done for us. */
export class Wire {
  readonly #socket: Duplex;
  readonly #session: ClientHttp2Session | undefined;
  readonly #timeout: number;
  #bytes: Buffer = Buffer.alloc(0);
  #ended = false;
  #wake: (() => void) | undefined;

  constructor(socket: Duplex, timeout: number, session?: ClientHttp2Session) {
    this.#socket = socket;
    this.#session = session;
    this.#timeout = timeout;
    const end = (): void => {
      this.#ended = true;
      this.#wake?.();
    };
    if (socket instanceof Socket) socket.setNoDelay(true);
    socket.on("data", (chunk: Buffer) => {
      this.#bytes = Buffer.concat([this.#bytes, chunk]);
      this.#wake?.();
    });
    // A reset ends the connection too: how it ended is looked at where it matters.
    socket.on("error", end).on("end", end).on("close", end);
  }

  static open({ url, insecure, timeout }: Target): Promise<Wire> {
    return new Promise((resolve, reject) => {
      const secure = url.protocol === "wss:";
      const port = Number(url.port || (secure ? 443 : 80));
      const host = url.hostname.replace(/^\[|\]$/g, "");
      const socket = secure
        ? connectTls({
            port,
            host,
            ...(isIP(host) === 0 ? { servername: host } : {}),
            rejectUnauthorized: !insecure,
            ALPNProtocols: ["http/1.1"],
          })
        : connectTcp({ port, host });
      socket.once("error", reject);
      socket.once(secure ? "secureConnect" : "connect", () => {
        socket.off("error", reject);
        resolve(new Wire(socket, timeout));
      });
    });
  }

  send(bytes: Uint8Array): void {
    if (this.#socket.writable) this.#socket.write(bytes);
  }

  /** One byte per packet: the server reads as many pieces as it can be made to. */
  async sendOctets(bytes: Uint8Array): Promise<void> {
    for (const byte of bytes) {
      if (!this.#socket.writable) return;
      await new Promise<void>((resolve) => this.#socket.write(Uint8Array.of(byte), () => setImmediate(resolve)));
    }
  }

  destroy(): void {
    this.#socket.destroy();
    this.#session?.destroy();
  }

  /** Resolves when `ready` says so; false when the connection ended first. @throws after the time-out. */
  async #until(ready: () => boolean): Promise<boolean> {
    const deadline = Date.now() + this.#timeout;
    while (!ready()) {
      if (this.#ended) return false;
      const left = deadline - Date.now();
      if (left <= 0) throw new Error(`nothing came within ${this.#timeout} ms`);
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, left);
        this.#wake = () => (clearTimeout(timer), resolve());
      });
    }
    return true;
  }

  /** Bytes received and not taken, once there are `length`; undefined when the connection ended first. */
  async take(length: number): Promise<Buffer | undefined> {
    if (!(await this.#until(() => this.#bytes.length >= length))) return undefined;
    const taken = this.#bytes.subarray(0, length);
    this.#bytes = this.#bytes.subarray(length);
    return taken;
  }

  /** The head of an HTTP response. */
  async head(): Promise<Head> {
    const end = "\r\n\r\n";
    if (!(await this.#until(() => this.#bytes.includes(end)))) {
      throw new Error(`the connection ended without a response: ${this.#bytes.toString("latin1")}`);
    }
    const text = (await this.take(this.#bytes.indexOf(end) + end.length))?.toString("latin1") ?? "";
    const [start = "", ...lines] = text.split("\r\n");
    const headers = new Map(
      lines.filter(Boolean).map((line): [string, string] => {
        const colon = line.indexOf(":");
        return [line.slice(0, colon).toLowerCase(), line.slice(colon + 1).trim()];
      }),
    );
    return { status: Number(/^HTTP\/1\.1 (\d{3})/.exec(start)?.[1] ?? 0), headers, text };
  }

  /** Resolves once the server has ended the connection. @throws when it has not within the time-out. */
  async ended(): Promise<void> {
    if (await this.#until(() => this.#ended)) return;
  }
}

/** Reads a server's frames strictly, RFC 6455 §5 as a client must. */
export class Frames {
  readonly #wire: Wire;
  readonly #deflate: { readonly context: boolean } | undefined;
  #past: Buffer = Buffer.alloc(0);

  constructor(wire: Wire, deflate: { readonly context: boolean } | undefined) {
    this.#wire = wire;
    this.#deflate = deflate;
  }

  #inflate(bytes: Buffer): Buffer {
    const plain = inflateRawSync(Buffer.concat([bytes, Buffer.from([0, 0, 0xff, 0xff])]), {
      finishFlush: constants.Z_SYNC_FLUSH,
      ...(this.#past.length > 0 ? { dictionary: this.#past } : {}),
    });
    if (this.#deflate?.context) this.#past = Buffer.concat([this.#past, plain]).subarray(-32_768);
    return plain;
  }

  async #frame(): Promise<{ first: number; payload: Buffer } | undefined> {
    const head = await this.#wire.take(2);
    if (!head) return undefined;
    const first = head.readUInt8(0);
    const second = head.readUInt8(1);
    if (second >= 0x80) throw new Error("the server sent a masked frame (RFC 6455 §5.1)");
    let length = second;
    if (second >= 126) {
      const long = await this.#wire.take(second === 126 ? 2 : 8);
      if (!long) throw new Error("the connection ended inside a frame");
      length = second === 126 ? long.readUInt16BE() : Number(long.readBigUInt64BE());
      if (length < (second === 126 ? 126 : 65_536))
        throw new Error("the server's length is not minimal (RFC 6455 §5.2)");
    }
    const payload = await this.#wire.take(length);
    if (!payload) throw new Error("the connection ended inside a frame");
    return { first, payload };
  }

  /** The next message or control frame; undefined when the connection ended. @throws when the server breaks the protocol. */
  async next(): Promise<Received | undefined> {
    const fragments: Buffer[] = [];
    let start: number | undefined;
    for (;;) {
      const frame = await this.#frame();
      if (!frame) {
        if (start !== undefined) throw new Error("the connection ended inside a message");
        return undefined;
      }
      const { first, payload } = frame;
      const opcode = first & 0x0f;
      if ((first & 0x30) !== 0) throw new Error("the server set a reserved bit (RFC 6455 §5.2)");
      if ((first & 0x40) !== 0 && (!this.#deflate || opcode === 0 || opcode > 2)) {
        throw new Error("the server set RSV1 where it means nothing (RFC 7692 §6)");
      }
      if (opcode >= 8) {
        // A control frame inside a fragmented reply could be returned only out of order: none of these servers needs that.
        if (first < 0x80 || payload.length > 125) throw new Error("a bad control frame (RFC 6455 §5.5)");
        if (start !== undefined) continue;
        if (opcode === 9) return { kind: "ping", payload };
        if (opcode === 10) return { kind: "pong", payload };
        if (opcode !== 8) throw new Error(`the server sent opcode ${opcode}`);
        if (payload.length === 1) throw new Error("a close frame of one byte (RFC 6455 §5.5.1)");
        return { kind: "close", code: payload.length === 0 ? 1005 : payload.readUInt16BE(), payload };
      }
      if (opcode > 2 || (opcode === 0) !== (start !== undefined))
        throw new Error(`opcode ${opcode} out of place (RFC 6455 §5.4)`);
      start ??= first;
      fragments.push(payload);
      if (first < 0x80) continue;
      const whole = Buffer.concat(fragments);
      return {
        kind: (start & 0x0f) === 1 ? "text" : "binary",
        payload: (start & 0x40) !== 0 ? this.#inflate(whole) : whole,
      };
    }
  }
}

/** What a WebSocket that {@link shake} opened has agreed. */
export interface Agreement {
  readonly wire: Wire;
  readonly frames: Frames;
  readonly extensions: string;
}

/** Asks for a WebSocket over HTTP/1.1, RFC 6455 §4.1. @returns what the server agreed to. */
async function upgrade(wire: Wire, { url }: Target, offer: string): Promise<string> {
  const key = randomBytes(16).toString("base64");
  wire.send(
    Buffer.from(
      `GET ${url.pathname}${url.search} HTTP/1.1\r\nHost: ${url.host}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n` +
        `Sec-WebSocket-Key: ${key}\r\nSec-WebSocket-Version: 13\r\n${offer && `Sec-WebSocket-Extensions: ${offer}\r\n`}\r\n`,
    ),
  );
  const { status, headers, text } = await wire.head();
  if (status !== 101) throw new Error(`not upgraded: ${text}`);
  return headers.get("sec-websocket-extensions") ?? "";
}

/** Asks for a WebSocket over HTTP/2, RFC 8441 §5. */
function extendedConnect(
  { url, insecure, timeout }: Target,
  offer: string,
): Promise<{ wire: Wire; extensions: string }> {
  return new Promise((resolve, reject) => {
    const scheme = url.protocol === "wss:" ? "https" : "http";
    const session = connectHttp2(`${scheme}://${url.host}`, { rejectUnauthorized: !insecure });
    session.on("error", reject);
    session.once("remoteSettings", ({ enableConnectProtocol }) => {
      if (enableConnectProtocol !== true) {
        session.destroy();
        reject(new Error("the server does not offer extended CONNECT (RFC 8441 §3)"));
        return;
      }
      const stream = session.request({
        ":method": "CONNECT",
        ":protocol": "websocket",
        ":scheme": scheme,
        ":authority": url.host,
        ":path": `${url.pathname}${url.search}`,
        "sec-websocket-version": "13",
        ...(offer === "" ? {} : { "sec-websocket-extensions": offer }),
      });
      stream.on("error", reject);
      const wire = new Wire(stream, timeout, session);
      stream.once("response", (headers) => {
        const status = headers[":status"];
        if (status === 200) resolve({ wire, extensions: headers["sec-websocket-extensions"] ?? "" });
        else reject(new Error(`not accepted: ${status}`));
      });
    });
  });
}

/** Opens a WebSocket. @param offer the value of Sec-WebSocket-Extensions; empty for none. */
export async function shake(target: Target, offer = ""): Promise<Agreement> {
  const { wire, extensions } = target.http2
    ? await extendedConnect(target, offer)
    : await Wire.open(target).then(async (it) => ({ wire: it, extensions: await upgrade(it, target, offer) }));
  const deflate = extensions.startsWith("permessage-deflate")
    ? { context: !extensions.includes("server_no_context_takeover") }
    : undefined;
  return { wire, frames: new Frames(wire, deflate), extensions };
}
