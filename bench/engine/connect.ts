import { createHash, randomBytes } from "node:crypto";
import { connect, type Socket } from "node:net";

import type { Serving } from "../peers/serving.ts";

/** Where and how a connection of the generator is made. */
export interface Target {
  readonly port: number;
  readonly path: string;
  readonly compression: Serving["compression"];
}

const offers: Readonly<Record<Serving["compression"], string>> = {
  off: "",
  fresh: "Sec-WebSocket-Extensions: permessage-deflate; client_no_context_takeover; server_no_context_takeover\r\n",
  context: "Sec-WebSocket-Extensions: permessage-deflate\r\n",
};

export function upgradeRequest({ port, path, compression }: Target, key: string): string {
  return `GET ${path} HTTP/1.1\r\nHost: 127.0.0.1:${port}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Key: ${key}\r\nSec-WebSocket-Version: 13\r\n${offers[compression]}\r\n`;
}

/** RFC 6455 §4.2.2: what a server must answer to a key. */
export function acceptOf(key: string): string {
  return createHash("sha1").update(`${key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11`).digest("base64");
}

/** All sockets read into this one buffer: what arrives is counted at once and not kept. */
const shared = Buffer.allocUnsafe(1024 * 1024);

/** A connection on which the handshake is done. `receive` may be replaced at any time. */
export interface Wire {
  readonly socket: Socket;
  /** What the server sent after the handshake: `length` bytes of a buffer that is valid during the call only. */
  receive: (chunk: Buffer, length: number) => void;
}

/**
 * Opens one connection and does the handshake, whose answer it verifies in full.
 * @param source the address to connect from, so that one machine has ports for any number of connections.
 */
export function open(target: Target, source?: string): Promise<Wire> {
  return new Promise((resolve, reject) => {
    const key = randomBytes(16).toString("base64");
    let head = "";
    let open = false;
    const socket = connect({
      port: target.port,
      host: "127.0.0.1",
      ...(source === undefined ? {} : { localAddress: source }),
      noDelay: true,
      onread: {
        buffer: shared,
        callback: (length, buffer) => {
          if (open) {
            wire.receive(buffer as Buffer, length);
            return true;
          }
          head += (buffer as Buffer).toString("latin1", 0, length);
          const end = head.indexOf("\r\n\r\n");
          if (end === -1) return true;
          open = true;
          const problem = refused(head.slice(0, end), key, target.compression);
          if (problem === undefined) resolve(wire);
          else reject(new Error(problem));
          // Nothing is sent by a measured server before it is asked; if it is, it must not be lost.
          const early = Buffer.from(head.slice(end + 4), "latin1");
          if (early.length > 0) queueMicrotask(() => wire.receive(early, early.length));
          return true;
        },
      },
    });
    const wire: Wire = { socket, receive: () => {} };
    socket.on("error", reject);
    socket.on("close", () => reject(new Error(`the server closed the connection; it had answered: ${head}`)));
    socket.write(upgradeRequest(target, key));
  });
}

function refused(head: string, key: string, compression: Serving["compression"]): string | undefined {
  if (!head.startsWith("HTTP/1.1 101 ")) return `not upgraded: ${head}`;
  const header = (name: string): string => new RegExp(`^${name}: *(.*?) *$`, "im").exec(head)?.[1] ?? "";
  if (header("sec-websocket-accept") !== acceptOf(key)) return `wrong Sec-WebSocket-Accept: ${head}`;
  const agreed = header("sec-websocket-extensions");
  if (compression !== "off" && !agreed.startsWith("permessage-deflate")) return `compression was not agreed: ${head}`;
  if (compression === "fresh" && !agreed.includes("server_no_context_takeover")) return `context takeover: ${head}`;
  if (compression === "context" && agreed.includes("no_context_takeover")) return `no context takeover: ${head}`;
  return undefined;
}

/** Opens `count` connections, some at a time, from as many loopback addresses as their ports need. */
export async function openMany(count: number, target: Target, atOnce = 128): Promise<Wire[]> {
  const wires: Wire[] = [];
  let started = 0;
  const worker = async (): Promise<void> => {
    while (started < count) {
      const number = started++;
      wires.push(await open(target, `127.0.0.${2 + Math.floor(number / 10_000)}`));
    }
  };
  await Promise.all(Array.from({ length: Math.min(atOnce, count) }, worker));
  return wires;
}
