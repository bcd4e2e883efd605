/** A server in a process of its own, so that its memory and descriptors can be measured. Spoken to over IPC. */
import { readdirSync } from "node:fs";
import type { Accept, ServerOptions, Socket } from "../src/index.ts";
import { createWebSocketServer } from "../src/index.ts";

/** What the process says of itself. */
export interface Measure {
  /** Bytes of the JavaScript heap and of array buffers, after a collection. */
  readonly memory: number;
  /** The most bytes of resident memory that the process ever had. */
  readonly peak: number;
  /** Open descriptors. */
  readonly descriptors: number;
  readonly sockets: number;
  /** How often each error was reported. */
  readonly errors: Readonly<Record<string, number>>;
  /** How often each close code was. */
  readonly closes: Readonly<Record<string, number>>;
}

const options = JSON.parse(process.argv[2] ?? "{}") as ServerOptions;
const errors: Record<string, number> = {};
const closes: Record<string, number> = {};
const chunk = new Uint8Array(64 * 1024);

/** Sends as fast as the event loop turns, whatever `send` says: a careless application. */
function flood(socket: Socket): void {
  if (socket.state !== "open") return;
  socket.send(chunk);
  setImmediate(flood, socket);
}

const server = createWebSocketServer(
  {
    upgrade: ({ path }) => (path === "/never" ? new Promise<Accept<undefined>>(() => {}) : { data: undefined }),
    message: (socket, message) => {
      if (message === "flood") flood(socket);
      else socket.send(message);
    },
    error: (_socket, error) => {
      const { code } = error as Error & { code: string };
      errors[code] = (errors[code] ?? 0) + 1;
    },
    close: (_socket, code) => {
      closes[code] = (closes[code] ?? 0) + 1;
    },
  },
  options,
);

const { port } = await server.listen(0);

process.on("message", () => {
  globalThis.gc?.();
  const { heapUsed, arrayBuffers } = process.memoryUsage();
  const measure: Measure = {
    memory: heapUsed + arrayBuffers,
    peak: process.resourceUsage().maxRSS * 1024,
    descriptors: readdirSync("/proc/self/fd").length,
    sockets: server.sockets.size,
    errors,
    closes,
  };
  process.send!(measure);
});
process.on("disconnect", () => process.exit());
process.send!({ port });
