/** Servers and peers that end with the test that makes them. */
import { once } from "node:events";
import { connect, type Socket as NetSocket } from "node:net";
import { onTestFinished } from "vitest";
import { WebSocket as Client } from "ws";
import { encodeFrame } from "../src/core/frame.ts";
import { Opcode } from "../src/core/opcode.ts";
import { createWebSocketServer } from "../src/index.ts";
import type { Handlers, ServerOptions, WebSocketServer } from "../src/index.ts";

export function engine<Data = undefined>(handlers: Handlers<Data>, options: ServerOptions = {}): WebSocketServer<Data> {
  const server = createWebSocketServer(handlers, options);
  onTestFinished(() => server.close({ within: 0 }));
  return server;
}

export async function open(port: number, path = "/", protocols: string[] = []): Promise<Client> {
  const client = new Client(`ws://127.0.0.1:${port}${path}`, protocols, { perMessageDeflate: false });
  onTestFinished(() => client.terminate());
  await once(client, "open");
  return client;
}

/** A handshake that every server accepts. */
export const upgradeText: string =
  "GET / HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n" +
  "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n";

/** A peer that speaks bytes. `trailing` is sent in the same segment as the handshake. */
export async function raw(port: number, trailing: Uint8Array = new Uint8Array(0)): Promise<NetSocket> {
  const socket = connect(port, "127.0.0.1");
  socket.on("error", () => socket.destroy());
  onTestFinished(() => void socket.destroy());
  await once(socket, "connect");
  socket.write(Buffer.concat([Buffer.from(upgradeText), trailing]));
  return socket;
}

/** A text message in one frame, as a client sends it. */
export const text = (content: string): Uint8Array => encodeFrame(Opcode.text, Buffer.from(content), { key: 1 });
