import { createServer } from "node:http";
import { createRequire } from "node:module";
import type { AddressInfo } from "node:net";

import { type RawData, type WebSocket, WebSocketServer } from "ws";

import { listening, maxMessage, serving, subscribePath } from "./serving.ts";

/** `ws` as its documentation has it, with bufferutil installed beside it. */
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

const subscribers = new Set<WebSocket>();

engine.on("connection", (socket, request) => {
  socket.on("error", () => socket.terminate());
  if (request.url === subscribePath) {
    subscribers.add(socket);
    socket.on("close", () => subscribers.delete(socket));
  } else if (mode === "echo") {
    socket.on("message", (data, isBinary) => socket.send(data, { binary: isBinary }));
  } else {
    socket.on("message", (data: RawData, isBinary) => {
      for (const subscriber of subscribers) subscriber.send(data, { binary: isBinary });
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
