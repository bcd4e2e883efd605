import { execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { createServer as createHttpServer, type Server as HttpServer } from "node:http";
import {
  createSecureServer as createSecureHttp2Server,
  createServer as createHttp2Server,
  type Http2Server,
} from "node:http2";
import { createServer as createHttpsServer, type Server as HttpsServer } from "node:https";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";

import { createWebSocketServer, type ServerOptions } from "@zuruf/websocket";

/** A running echo server of ours. */
export interface Echo {
  readonly url: string;
  readonly ca: string | undefined;
  close(): Promise<void>;
}

/** A key and a certificate for 127.0.0.1 that it signs itself, of this moment. */
export function certificate(): { readonly key: string; readonly cert: string } {
  const folder = mkdtempSync(join(tmpdir(), "zuruf-conformance-"));
  try {
    const [key, cert] = [join(folder, "key.pem"), join(folder, "cert.pem")];
    const curve = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1"];
    const names = ["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"];
    execFileSync(
      "openssl",
      ["req", "-x509", ...curve, "-nodes", "-days", "2", ...names, "-keyout", key, "-out", cert],
      {
        stdio: "ignore",
      },
    );
    return { key: readFileSync(key, "utf8"), cert: readFileSync(cert, "utf8") };
  } finally {
    rmSync(folder, { recursive: true });
  }
}

/** What carries the WebSockets, and whether TLS is below it. */
export type Carrier = "http" | "https" | "http2" | "http2s";

function serverOf(
  carrier: Carrier,
  pair: { key: string; cert: string } | undefined,
): HttpServer | HttpsServer | Http2Server {
  if (carrier === "http2") return createHttp2Server();
  if (carrier === "http2s") return createSecureHttp2Server({ ...pair });
  const server = pair ? createHttpsServer(pair) : createHttpServer();
  return server.on("request", (_request, response) => void response.writeHead(426, { upgrade: "websocket" }).end());
}

/** Starts an echo server on a free port. */
export async function startEcho(options: ServerOptions = {}, carrier: Carrier = "http"): Promise<Echo> {
  const tls = carrier.endsWith("s");
  const pair = tls ? certificate() : undefined;
  const server = serverOf(carrier, pair);
  const engine = createWebSocketServer({ message: (socket, message) => void socket.send(message) }, options);
  engine.attach(server, { path: "/echo" });
  await new Promise<void>((resolve) => void server.listen(0, "127.0.0.1", resolve));
  return {
    url: `${tls ? "wss" : "ws"}://127.0.0.1:${(server.address() as AddressInfo).port}/echo`,
    ca: pair?.cert,
    async close() {
      await engine.close({ within: 0 });
      if ("closeAllConnections" in server) server.closeAllConnections();
      await new Promise((resolve) => void server.close(resolve));
    },
  };
}
