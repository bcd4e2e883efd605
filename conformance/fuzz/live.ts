import { createServer } from "node:http";
import { type AddressInfo, connect } from "node:net";

import { createWebSocketServer, WebSocket } from "@zuruf/websocket";

import { cut } from "../core-runner.ts";
import { bytesOf, load } from "../vector.ts";
import type { Random } from "./random.ts";
import { chunking, stream } from "./streams.ts";

const request =
  "GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n";
const offers = [
  "",
  "",
  "Sec-WebSocket-Extensions: permessage-deflate\r\n",
  "Sec-WebSocket-Extensions: permessage-deflate; client_no_context_takeover; server_max_window_bits=8\r\n",
];
/** Streams worth mutating: compressed ones most. */
const seeds = [...load("deflate"), ...load("frames").slice(0, 20)].flatMap(({ role, bytes }) => {
  const all = bytesOf(bytes);
  return role === "server" && all.length < 3000 ? [all] : [];
});

/** One connection: a handshake, a stream in pieces, and an end of some kind, at any moment. */
function visit(port: number, random: Random): Promise<void> {
  return new Promise((resolve) => {
    const socket = connect({ port, host: "127.0.0.1", noDelay: random.chance(0.5) });
    socket.on("error", () => socket.destroy());
    socket.on("close", () => resolve());
    socket.resume();
    const bytes = random.chance(0.05)
      ? random.bytes(random.below(200))
      : Buffer.concat([Buffer.from(`${request}${random.pick(offers)}\r\n`), stream(random, "server", seeds)]);
    const pieces = cut(bytes, chunking(random, bytes.length).slice(0, 50));
    const step = (): void => {
      const piece = pieces.shift();
      if (piece && socket.writable) {
        socket.write(piece, () => (random.chance(0.3) ? setImmediate(step) : step()));
        return;
      }
      const end = random.below(3);
      if (end === 0) socket.resetAndDestroy();
      else if (end === 1) socket.end();
      else socket.destroy();
    };
    socket.on("connect", step);
    socket.setTimeout(2000, () => socket.destroy());
  });
}

function echoes(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const client = new WebSocket(`ws://127.0.0.1:${port}/`);
    client.addEventListener("open", () => client.send("still there?"));
    client.addEventListener("message", ({ data }) => {
      client.close();
      resolve(data === "still there?");
    });
    client.addEventListener("error", () => resolve(false));
  });
}

/** Hostile connections to a real server of ours, which must survive them all and keep nothing of them. */
export async function live(random: Random, milliseconds: number): Promise<{ connections: number; findings: string[] }> {
  const findings: string[] = [];
  const thrown = (error: unknown): void =>
    void findings.push(`thrown: ${error instanceof Error ? error.stack : String(error)}`);
  process.on("uncaughtException", thrown);
  process.on("unhandledRejection", thrown);
  const engine = createWebSocketServer(
    { message: (socket, message) => void socket.send(message) },
    { closeTimeout: 500, maxMessage: 100_000, compression: { threshold: 1, contextTakeover: true, maxContexts: 8 } },
  );
  const server = createServer();
  engine.attach(server);
  await new Promise<void>((resolve) => void server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as AddressInfo;
  const until = performance.now() + milliseconds;
  let connections = 0;
  const worker = async (): Promise<void> => {
    while (performance.now() < until && findings.length < 5) {
      await visit(port, random);
      connections++;
    }
  };
  await Promise.all(Array.from({ length: 16 }, worker));
  if (!(await echoes(port))) findings.push("the server does not echo any more");
  const patience = performance.now() + 5000;
  while (engine.sockets.size > 0 && performance.now() < patience)
    await new Promise((resolve) => setTimeout(resolve, 20));
  if (engine.sockets.size > 0) findings.push(`${engine.sockets.size} sockets are left of connections that have ended`);
  await engine.close({ within: 0 });
  server.closeAllConnections();
  await new Promise((resolve) => void server.close(resolve));
  process.off("uncaughtException", thrown);
  process.off("unhandledRejection", thrown);
  return { connections, findings };
}
