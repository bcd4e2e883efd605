import { createServer } from "node:http";
import type { AddressInfo } from "node:net";

import { createWebSocketServer, type Socket } from "@zuruf/websocket";

import { listening, maxMessage, serving, subscribePath } from "./serving.ts";

/** The engine as its documentation has it; `ZURUF_NO_INTERNALS=1` keeps it to Node's public interfaces. */
const { mode, compression } = serving();

interface Role {
  readonly subscribes: boolean;
}

const subscribers = new Set<Socket<Role>>();

const engine = createWebSocketServer<Role>(
  {
    upgrade: ({ path }) => ({ data: { subscribes: path === subscribePath } }),
    open(socket) {
      if (socket.data.subscribes) subscribers.add(socket);
    },
    message(socket, message) {
      if (mode === "echo") {
        socket.send(message);
        return;
      }
      const prepared = engine.prepare(message);
      for (const subscriber of subscribers) subscriber.send(prepared);
    },
    close(socket) {
      subscribers.delete(socket);
    },
  },
  {
    maxMessage,
    pingInterval: 0, // the other servers do not ping, and the generator does not answer
    compression: compression === "off" ? false : { threshold: 1, contextTakeover: compression === "context" },
  },
);

const server = createServer();
engine.attach(server);
server.listen(0, "127.0.0.1", 4096, () => {
  listening((server.address() as AddressInfo).port, {
    node: process.versions.node,
    internals: process.env["ZURUF_NO_INTERNALS"] === "1" ? "off" : "where available",
  });
});
