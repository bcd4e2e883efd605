import { createServer } from "node:http";
import { createRequire } from "node:module";
import type { AddressInfo, Socket } from "node:net";

import { type RawData, type WebSocket, WebSocketServer } from "ws";

import { listening, maxMessage, serving, subscribePath } from "./serving.ts";

/** `ws` as a team that has profiled it runs it: what is sent within one tick leaves with one `writev` per socket. */
const { mode, compression } = serving();
const fresh = compression === "fresh";
const server = createServer();
const engine = new WebSocketServer({
  server,
  maxPayload: maxMessage,
  perMessageDeflate:
    compression === "off"
      ? false
      : {
          threshold: 0,
          serverNoContextTakeover: fresh,
          clientNoContextTakeover: fresh,
          // As its documentation has them, and the same level as Zuruf's default.
          zlibDeflateOptions: { chunkSize: 1024, memLevel: 7, level: 3 },
          zlibInflateOptions: { chunkSize: 10 * 1024 },
        },
});

let corked: Socket[] = [];

function uncork(): void {
  const sockets = corked;
  corked = [];
  for (const socket of sockets) socket.uncork();
}

function send(to: WebSocket, tcp: Socket, data: RawData, binary: boolean): void {
  if (tcp.writableCorked === 0) {
    tcp.cork();
    if (corked.push(tcp) === 1) process.nextTick(uncork);
  }
  to.send(data, { binary });
}

const subscribers = new Map<WebSocket, Socket>();

engine.on("connection", (socket, request) => {
  const tcp = request.socket;
  socket.on("error", () => socket.terminate());
  if (request.url === subscribePath) {
    subscribers.set(socket, tcp);
    socket.on("close", () => subscribers.delete(socket));
  } else if (mode === "echo") {
    socket.on("message", (data, isBinary) => send(socket, tcp, data, isBinary));
  } else {
    socket.on("message", (data, isBinary) => {
      for (const [subscriber, its] of subscribers) send(subscriber, its, data, isBinary);
    });
  }
});

const require = createRequire(import.meta.url);
const versionOf = (name: string): string => (require(`${name}/package.json`) as { version: string }).version;

server.listen(0, "127.0.0.1", 4096, () => {
  listening((server.address() as AddressInfo).port, {
    node: process.versions.node,
    ws: versionOf("ws"),
    bufferutil: versionOf("bufferutil"),
  });
});
