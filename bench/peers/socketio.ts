import { createServer, type Server as HttpServer } from "node:http";
import type { AddressInfo } from "node:net";

import { installed, versionOf } from "./installed.ts";
import { channelServing, listening } from "./serving.ts";
import { adapterOf } from "./socketio-adapters.ts";

/** The little of Socket.IO that is used here. */
interface Client {
  on(event: string, handler: (...args: never[]) => unknown): void;
  join(room: string): Promise<void> | void;
}
interface SocketIo {
  readonly engine: { on(event: "connection", handler: (socket: { request: unknown }) => void): void };
  on(event: "connection", handler: (client: Client) => void): void;
  to(room: string): { emit(event: string, data: unknown): void };
}
const { Server } = installed("socket.io") as { Server: new (server: HttpServer, options: object) => SocketIo };

/**
 * Socket.IO as its documentation has it for performance: bufferutil installed, the handshake's request forgotten. No client
 * polls, and its heartbeat is put off, so that no ping is counted as a message.
 */
const { broker } = channelServing();
const server = createServer();
const io = new Server(server, {
  transports: ["websocket"],
  serveClient: false,
  pingInterval: 600_000,
  ...(broker ? { adapter: await adapterOf(broker) } : {}),
});

io.engine.on("connection", (socket) => {
  socket.request = null;
});

io.on("connection", (client) => {
  client.on("join", async (room: string, done: () => void) => {
    await client.join(room);
    done();
  });
  client.on("publish", (room: string, data: unknown, done?: () => void) => {
    // With an acknowledgement nothing else is asked for: the least that it can cost.
    if (done) done();
    else io.to(room).emit("message", data);
  });
});

server.listen(0, "127.0.0.1", 4096, () => {
  listening((server.address() as AddressInfo).port, {
    node: process.versions.node,
    "socket.io": versionOf("socket.io"),
    bufferutil: versionOf("bufferutil"),
  });
});
