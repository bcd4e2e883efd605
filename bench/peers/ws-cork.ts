import type { Socket } from "node:net";

import type { RawData, WebSocket } from "ws";

import { serving, subscribePath } from "./serving.ts";
import { wsServer } from "./ws-server.ts";

/** `ws` as a team that has profiled it runs it: what is sent within one tick leaves with one `writev` per socket. */
const { mode, compression } = serving();
const { engine, listen } = wsServer(compression);

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

listen();
