import { createHash, randomBytes } from "node:crypto";
import { connect } from "node:net";

import type { Serving } from "../peers/serving.ts";
import { fail } from "./generator.ts";

/** Where and how a connection of the generator is made. */
export interface Target {
  readonly port: number;
  readonly path: string;
  readonly compression: Serving["compression"];
  /** The one subprotocol to offer, which the server must then agree to; default none. */
  readonly protocol?: string;
}

const offers: Readonly<Record<Serving["compression"], string>> = {
  off: "",
  fresh: "Sec-WebSocket-Extensions: permessage-deflate; client_no_context_takeover; server_no_context_takeover\r\n",
  context: "Sec-WebSocket-Extensions: permessage-deflate\r\n",
};

export function upgradeRequest({ port, path, compression, protocol }: Target, key: string): string {
  const offer = protocol === undefined ? "" : `Sec-WebSocket-Protocol: ${protocol}\r\n`;
  return `GET ${path} HTTP/1.1\r\nHost: 127.0.0.1:${port}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Key: ${key}\r\nSec-WebSocket-Version: 13\r\n${offers[compression]}${offer}\r\n`;
}

/** RFC 6455 §4.2.2: what a server must answer to a key. */
export function acceptOf(key: string): string {
  return createHash("sha1").update(`${key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11`).digest("base64");
}

/** A connection on which the handshake is done, or is being done. `receive` may be replaced at any time. */
export interface Wire {
  write(bytes: Buffer | string): void;
  destroy(): void;
  /** What the server sent after the handshake: `length` bytes of a buffer that is valid during the call only. */
  receive: (chunk: Uint8Array, length: number) => void;
  /** The connection has ended, because of `error` if the system gave one. */
  closed: (error?: Error) => void;
}

/** All of Node's sockets read into this one buffer: what arrives is counted at once and not kept. */
const shared = Buffer.allocUnsafe(1024 * 1024);

function nodeWire(port: number, source: string | undefined): Wire {
  const socket = connect({
    port,
    host: "127.0.0.1",
    ...(source === undefined ? {} : { localAddress: source }),
    noDelay: true,
    onread: {
      buffer: shared,
      callback: (length, buffer) => {
        wire.receive(buffer, length);
        return true;
      },
    },
  });
  const wire: Wire = {
    write: (bytes) => void socket.write(bytes),
    destroy: () => void socket.destroy(),
    receive: () => {},
    closed: () => {},
  };
  let failure: Error | undefined;
  socket.on("error", (error) => (failure = error));
  socket.on("close", () => wire.closed(failure));
  return wire;
}

/** The few parts of Bun's sockets that are used here; its types are not installed. */
interface BunSocket {
  write(bytes: Buffer | string): number;
  terminate(): void;
  setNoDelay(on: boolean): void;
}
interface BunRuntime {
  connect(options: {
    hostname: string;
    port: number;
    socket: {
      data(socket: BunSocket, chunk: Buffer): void;
      open(socket: BunSocket): void;
      drain(socket: BunSocket): void;
      close(): void;
      error(): void;
      connectError(): void;
    };
  }): Promise<BunSocket>;
}

/** Bun's sockets cost less than Node's: the generator runs on Bun where it is installed, and so keeps up with more. */
function bunWire(bun: BunRuntime, port: number): Wire {
  let socket: BunSocket | undefined;
  let waiting: Buffer[] = [];
  const flush = (to: BunSocket): void => {
    while (waiting.length > 0) {
      const next = waiting[0] ?? Buffer.alloc(0);
      const taken = to.write(next);
      if (taken < next.length) {
        waiting[0] = next.subarray(Math.max(0, taken));
        return;
      }
      waiting.shift();
    }
  };
  const wire: Wire = {
    write(bytes) {
      const buffer = typeof bytes === "string" ? Buffer.from(bytes) : bytes;
      if (socket !== undefined && waiting.length === 0) {
        const taken = socket.write(buffer);
        if (taken < buffer.length) waiting.push(buffer.subarray(Math.max(0, taken)));
      } else {
        waiting.push(buffer);
      }
    },
    destroy: () => socket?.terminate(),
    receive: () => {},
    closed: () => {},
  };
  const closed = (): void => {
    waiting = [];
    wire.closed();
  };
  bun
    .connect({
      hostname: "127.0.0.1",
      port,
      socket: {
        data: (_socket, chunk) => wire.receive(chunk, chunk.length),
        open(opened) {
          opened.setNoDelay(true);
          socket = opened;
          flush(opened);
        },
        drain: flush,
        close: closed,
        error: closed,
        connectError: closed,
      },
    })
    .catch(closed);
  return wire;
}

const { Bun } = globalThis as { Bun?: BunRuntime };

/**
 * Opens one connection and does the handshake, whose answer it verifies in full.
 * @param source the address to connect from, so that one machine has ports for any number of connections (Node only).
 */
export function open(target: Target, source?: string): Promise<Wire> {
  return new Promise((resolve, reject) => {
    const key = randomBytes(16).toString("base64");
    let head = "";
    const wire = Bun ? bunWire(Bun, target.port) : nodeWire(target.port, source);
    wire.closed = (error) => reject(error ?? new Error(`the server closed the connection; it had answered: ${head}`));
    wire.receive = (chunk, length) => {
      head += Buffer.from(chunk.subarray(0, length)).toString("latin1");
      const end = head.indexOf("\r\n\r\n");
      if (end === -1) return;
      wire.receive = () => {};
      const problem = refused(head.slice(0, end), key, target);
      if (problem === undefined) resolve(wire);
      else reject(new Error(problem));
      // Nothing is sent by a measured server before it is asked; if it is, it must not be lost.
      const early = Buffer.from(head.slice(end + 4), "latin1");
      if (early.length > 0) queueMicrotask(() => wire.receive(early, early.length));
    };
    wire.write(upgradeRequest(target, key));
  });
}

function refused(head: string, key: string, { compression, protocol = "" }: Target): string | undefined {
  if (!head.startsWith("HTTP/1.1 101 ")) return `not upgraded: ${head}`;
  const header = (name: string): string => new RegExp(`^${name}: *(.*?) *$`, "im").exec(head)?.[1] ?? "";
  if (header("sec-websocket-accept") !== acceptOf(key)) return `wrong Sec-WebSocket-Accept: ${head}`;
  if (header("sec-websocket-protocol") !== protocol) return `another subprotocol: ${head}`;
  const agreed = header("sec-websocket-extensions");
  if (compression !== "off" && !agreed.startsWith("permessage-deflate")) return `compression was not agreed: ${head}`;
  if (compression === "fresh" && !agreed.includes("server_no_context_takeover")) return `context takeover: ${head}`;
  if (compression === "context" && agreed.includes("no_context_takeover")) return `no context takeover: ${head}`;
  return undefined;
}

/** Addresses of this process: the ports of one that ended rest for a minute, and would not be there for the next. */
const sources = `127.0.${1 + (process.pid % 250)}`;

/**
 * Opens `count` connections, some at a time, from as many loopback addresses as their ports need.
 * @param ready what is to be done with each before it counts as open. What the server says first, it is there to hear.
 */
export async function openMany(
  count: number,
  target: Target,
  ready?: (wire: Wire) => Promise<void>,
  atOnce = 128,
): Promise<Wire[]> {
  const wires: Wire[] = [];
  let started = 0;
  const worker = async (): Promise<void> => {
    while (started < count) {
      const number = started++;
      const wire = await open(target, `${sources}.${2 + Math.floor(number / 10_000)}`);
      await ready?.(wire);
      wires.push(wire);
    }
  };
  await Promise.all(Array.from({ length: Math.min(atOnce, count) }, worker));
  return wires;
}

/** A connection that ends during a measurement makes the measurement worthless: it ends this process. */
export function mustStayOpen(wires: readonly Wire[]): void {
  for (const wire of wires) wire.closed = () => fail(new Error("the server closed a connection"));
}
