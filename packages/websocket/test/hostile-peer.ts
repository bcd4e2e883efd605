import { fork } from "node:child_process";
import type { ChildProcess } from "node:child_process";
import { once } from "node:events";
import { connect } from "node:net";
import type { Socket } from "node:net";
import { join } from "node:path";
import type { ServerOptions } from "../src/index.ts";
import type { Measure } from "./hostile-server.ts";

/** `hostile-server.ts`, running. */
export class HostileServer {
  readonly port: number;
  readonly #child: ChildProcess;

  private constructor(child: ChildProcess, port: number) {
    this.#child = child;
    this.port = port;
  }

  static async start(options: ServerOptions): Promise<HostileServer> {
    const child = fork(join(import.meta.dirname, "hostile-server.ts"), [JSON.stringify(options)], {
      execArgv: ["--import", "tsx", "--expose-gc"],
    });
    const [{ port }] = (await once(child, "message")) as [{ port: number }];
    return new HostileServer(child, port);
  }

  async measure(): Promise<Measure> {
    const answer = once(this.#child, "message");
    this.#child.send("measure");
    return ((await answer) as [Measure])[0];
  }

  async stop(): Promise<void> {
    this.#child.disconnect();
    await once(this.#child, "exit");
  }
}

/** A TCP connection that ends without noise, whatever becomes of it. */
export async function connection(port: number): Promise<Socket> {
  const socket = connect(port, "127.0.0.1");
  await once(socket, "connect");
  socket.on("error", () => socket.destroy());
  return socket;
}

/** The request of an opening handshake. */
export function handshake(path = "/", ...lines: readonly string[]): string {
  return [
    `GET ${path} HTTP/1.1`,
    "Host: localhost",
    "Upgrade: websocket",
    "Connection: Upgrade",
    "Sec-WebSocket-Version: 13",
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
    ...lines,
    "\r\n",
  ].join("\r\n");
}

/** A connection after its opening handshake; paused, and what it sends is up to the test. */
export async function upgraded(port: number, ...lines: readonly string[]): Promise<Socket> {
  const socket = await connection(port);
  socket.write(handshake("/", ...lines));
  let head = "";
  while (!head.includes("\r\n\r\n")) {
    await once(socket, "readable");
    head += String(socket.read() ?? "");
  }
  if (!head.startsWith("HTTP/1.1 101")) throw new Error(head);
  return socket;
}

/** All that a connection brings until it ends. */
export async function rest(socket: Socket): Promise<Buffer> {
  const chunks: Buffer[] = [];
  socket.on("data", (chunk) => void chunks.push(chunk));
  // Not `once`, which takes a reset for a failure.
  if (!socket.destroyed) await new Promise((resolve) => void socket.on("close", resolve));
  return Buffer.concat(chunks);
}

/** A masked frame, RFC 6455 §5.2, with a key of zeros. @param length what the header claims; default the payload's. */
export function masked(first: number, payload: Uint8Array | string, length?: bigint): Buffer {
  const bytes = Buffer.from(payload);
  const claimed = length ?? BigInt(bytes.length);
  const header = Buffer.alloc(claimed < 126n ? 2 : claimed < 65_536n ? 4 : 10);
  header[0] = first;
  if (claimed < 126n) {
    header[1] = 0x80 | Number(claimed);
  } else if (claimed < 65_536n) {
    header[1] = 0x80 | 126;
    header.writeUInt16BE(Number(claimed), 2);
  } else {
    header[1] = 0x80 | 127;
    header.writeBigUInt64BE(claimed, 2);
  }
  return Buffer.concat([header, Buffer.alloc(4), bytes]);
}
