import { once } from "node:events";
import { createServer } from "node:net";
import type { AddressInfo, Server, Socket } from "node:net";
import { acceptKey } from "../src/core/accept-key.ts";

/** A TCP server for peers that do as the test says; `respond` gets each connection with its request's head. */
export async function rawServer(
  respond: (socket: Socket, head: string) => void,
): Promise<{ readonly port: number; readonly close: () => Promise<void> }> {
  const sockets = new Set<Socket>();
  const server: Server = createServer((socket) => {
    sockets.add(socket);
    socket.on("error", () => socket.destroy());
    socket.on("close", () => sockets.delete(socket));
    let head = "";
    const read = (chunk: Buffer): void => {
      head += chunk.toString("latin1");
      if (!head.includes("\r\n\r\n")) return;
      socket.off("data", read);
      respond(socket, head);
    };
    socket.on("data", read);
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  return {
    port: (server.address() as AddressInfo).port,
    close: async () => {
      for (const socket of sockets) socket.destroy();
      server.close();
      await once(server, "close");
    },
  };
}

/** The 101 response to a request's head, with further header lines. */
export function switching(head: string, ...lines: readonly string[]): string {
  const key = /^sec-websocket-key: (.*)\r$/im.exec(head)?.[1] ?? "";
  return [
    "HTTP/1.1 101 Switching Protocols",
    "Upgrade: websocket",
    "Connection: Upgrade",
    `Sec-WebSocket-Accept: ${acceptKey(key)}`,
    ...lines,
    "\r\n",
  ].join("\r\n");
}

/** An unmasked frame, RFC 6455 §5.2. */
export function frame(first: number, payload: string | Uint8Array): Buffer {
  const bytes = Buffer.from(payload);
  const header =
    bytes.length < 126
      ? [first, bytes.length]
      : bytes.length < 65_536
        ? [first, 126, bytes.length >>> 8, bytes.length & 0xff]
        : [first, 127, 0, 0, 0, 0, ...[24, 16, 8, 0].map((shift) => (bytes.length >>> shift) & 0xff)];
  return Buffer.concat([Buffer.from(header), bytes]);
}
