import { createWebSocketServer, type WebSocketServer } from "@zuruf/websocket";
import type { Admission } from "./admission.ts";

/** `/echo`: a plain WebSocket, without subprotocol, that sends every message back as what it was: text as text, binary as binary. */
export function echoServer(admit: Admission): WebSocketServer<undefined> {
  return createWebSocketServer({
    upgrade(request) {
      const admitted = admit(request);
      return "status" in admitted ? admitted : { data: undefined };
    },
    message(socket, message) {
      socket.send(message);
    },
  });
}
