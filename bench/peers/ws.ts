import type { RawData, WebSocket } from "ws";

import { serving, subscribePath } from "./serving.ts";
import { wsServer } from "./ws-server.ts";

/** `ws` as its documentation has it, with bufferutil installed beside it. */
const { mode, compression } = serving();
const { engine, listen } = wsServer(compression);

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

listen();
