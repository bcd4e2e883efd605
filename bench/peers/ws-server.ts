import { createServer } from "node:http";
import { createRequire } from "node:module";
import type { AddressInfo } from "node:net";

import { WebSocketServer } from "ws";

import { listening, maxMessage, type Serving } from "./serving.ts";

const require = createRequire(import.meta.url);
const versionOf = (name: string): string => (require(`${name}/package.json`) as { version: string }).version;

/** `ws` with bufferutil installed beside it, compressing as asked; `listen` once its handlers are set. */
export function wsServer(compression: Serving["compression"]): {
  readonly engine: WebSocketServer;
  readonly listen: () => void;
} {
  const fresh = compression === "fresh";
  const server = createServer();
  const engine = new WebSocketServer({
    server,
    maxPayload: maxMessage,
    perMessageDeflate:
      compression === "off"
        ? false
        : {
            threshold: 0,
            serverNoContextTakeover: fresh,
            clientNoContextTakeover: fresh,
            // As its documentation has them, and the same level as Zuruf's default.
            zlibDeflateOptions: { chunkSize: 1024, memLevel: 7, level: 3 },
            zlibInflateOptions: { chunkSize: 10 * 1024 },
          },
  });
  const listen = (): void => {
    server.listen(0, "127.0.0.1", 4096, () => {
      listening((server.address() as AddressInfo).port, {
        node: process.versions.node,
        ws: versionOf("ws"),
        bufferutil: versionOf("bufferutil"),
      });
    });
  };
  return { engine, listen };
}
