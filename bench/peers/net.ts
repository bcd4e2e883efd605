import { createHash } from "node:crypto";
import { type AddressInfo, createServer, type Socket } from "node:net";

import { listening, serving, subscribePath } from "./serving.ts";

/**
 * The limit of Node's sockets: after the handshake it knows nothing of WebSocket. Bytes go back as they came
 * (still masked), or to all subscribers as they came.
 */
const { mode } = serving();
const subscribers = new Set<Socket>();

function accept(head: string): string {
  const key = /sec-websocket-key: *(\S+)/i.exec(head)?.[1] ?? "";
  const digest = createHash("sha1").update(`${key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11`).digest("base64");
  return `HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: ${digest}\r\n\r\n`;
}

const server = createServer({ noDelay: true }, (socket) => {
  socket.on("error", () => socket.destroy());
  let head = "";
  const handshake = (chunk: Buffer): void => {
    head += chunk.toString("latin1");
    if (!head.includes("\r\n\r\n")) return;
    socket.off("data", handshake);
    socket.write(accept(head));
    if (head.startsWith(`GET ${subscribePath} `)) {
      subscribers.add(socket);
      socket.on("close", () => subscribers.delete(socket)).resume();
    } else if (mode === "echo") {
      socket.on("data", (bytes: Buffer) => socket.write(bytes));
    } else {
      socket.on("data", (bytes: Buffer) => {
        for (const subscriber of subscribers) subscriber.write(bytes);
      });
    }
    head = "";
  };
  socket.on("data", handshake);
});

server.listen(0, "127.0.0.1", 4096, () => {
  listening((server.address() as AddressInfo).port, { node: process.versions.node });
});
