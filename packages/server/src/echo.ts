import { createWebSocketServer, type Handlers, type WebSocketServer } from "@zuruf/websocket";
import type { Admission } from "./admission.ts";

/** `/echo`: a plain WebSocket, without subprotocol, that sends every message back as what it was: text as text, binary as binary. */
export function echoServer(
  admit: Admission,
  options: { readonly maxMessage: number; readonly compression: boolean },
): WebSocketServer<undefined> {
  const handlers: Handlers<undefined> = {
    upgrade(request) {
      const admitted = admit(request);
      return "status" in admitted ? admitted : { data: undefined };
    },
    message(socket, message) {
      socket.send(message);
    },
  };
  return createWebSocketServer(handlers, options);
}
