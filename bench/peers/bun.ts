import { listening, maxMessage, serving, subscribePath } from "./serving.ts";

/** The few parts of Bun's types that this server uses; they are not installed with the bench. */
interface BunSocket {
  readonly data: { readonly subscribes: boolean };
  send(message: string | Uint8Array, compress?: boolean): number;
  subscribe(topic: string): void;
}
interface BunServer {
  readonly port: number;
  upgrade(request: Request, options: { data: { subscribes: boolean } }): boolean;
  publish(topic: string, message: string | Uint8Array, compress?: boolean): number;
}
declare const Bun: {
  readonly version: string;
  serve(options: {
    port: number;
    hostname: string;
    fetch(request: Request, server: BunServer): Response | undefined;
    websocket: {
      perMessageDeflate: boolean | { compress: "shared" | "dedicated"; decompress: "shared" | "dedicated" };
      maxPayloadLength: number;
      backpressureLimit: number;
      idleTimeout: number;
      sendPings: boolean;
      open(socket: BunSocket): void;
      message(socket: BunSocket, message: string | Uint8Array): void;
    };
  }): BunServer;
};

/** Bun's native server: uWebSockets inside, C++ down to the sockets. */
const { mode, compression } = serving();
const compressed = compression !== "off";
const window = compression === "context" ? "dedicated" : "shared";

const server = Bun.serve({
  port: 0,
  hostname: "127.0.0.1",
  fetch(request, it) {
    const subscribes = new URL(request.url).pathname === subscribePath;
    return it.upgrade(request, { data: { subscribes } }) ? undefined : new Response("not a WebSocket", { status: 400 });
  },
  websocket: {
    perMessageDeflate: compressed ? { compress: window, decompress: window } : false,
    maxPayloadLength: maxMessage,
    backpressureLimit: maxMessage,
    idleTimeout: 0,
    sendPings: false,
    open(socket) {
      if (socket.data.subscribes) socket.subscribe("all");
    },
    message(socket, message) {
      if (mode === "echo") socket.send(message, compressed);
      else server.publish("all", message, compressed);
    },
  },
});

listening(server.port, { bun: Bun.version });
