import { STATUS_CODES } from "node:http";
import type { IncomingHttpHeaders } from "node:http";
import type {
  Http2SecureServer,
  Http2Server,
  Http2ServerRequest,
  IncomingHttpHeaders as Http2Headers,
  ServerHttp2Stream,
} from "node:http2";
import type { HandshakeAnswer } from "../core/server-handshake.ts";
import type { UpgradeRequest } from "./api.ts";
import type { Approach } from "./approach.ts";
import { splitTarget } from "./request.ts";

/** An HTTP/2 server, cleartext or TLS. */
export type AnyHttp2Server = Http2Server | Http2SecureServer;

/** Whether a server speaks HTTP/2. */
export function isHttp2(server: object): server is AnyHttp2Server {
  return "updateSettings" in server;
}

/** Takes over one WebSocket request. */
export type StreamTaker = (approach: Approach) => void;

interface Routes {
  /** By path; `EVERY_PATH` takes every one that no other does. */
  readonly byPath: Map<string, StreamTaker>;
  readonly stop: () => void;
}

const EVERY_PATH = "";

/** Several engines may serve one server. */
const routesOf: WeakMap<AnyHttp2Server, Routes> = new WeakMap();

/**
 * Gives the WebSockets on some paths of an HTTP/2 server to `take`, RFC 8441, and tells its clients that they may ask
 * for them. Other streams are left alone; a path that nobody serves is answered with 404, as over HTTP/1.1.
 * @param paths exact paths; undefined: every path that is not given otherwise.
 * @returns ends it.
 */
export function routeHttp2(
  server: AnyHttp2Server,
  paths: readonly string[] | undefined,
  take: StreamTaker,
): () => void {
  const routes = routesOf.get(server) ?? intercept(server);
  const keys = paths ?? [EVERY_PATH];
  for (const path of keys) routes.byPath.set(path, take);
  return () => {
    for (const path of keys) {
      if (routes.byPath.get(path) === take) routes.byPath.delete(path);
    }
    if (routes.byPath.size > 0) return;
    routes.stop();
    routesOf.delete(server);
  };
}

/**
 * Takes WebSockets out of the `stream` events before any listener sees them. A listener beside the others would not do:
 * Node's own, for the compatible API, answers every CONNECT with 405, and an application's answers every stream; the
 * second answer to one stream throws.
 */
function intercept(server: AnyHttp2Server): Routes {
  const byPath = new Map<string, StreamTaker>();
  const emit = server.emit.bind(server) as (event: string | symbol, ...values: unknown[]) => boolean;
  const emitOthers = (event: string | symbol, ...values: unknown[]): boolean => {
    if (event !== "stream") return emit(event, ...values);
    const [stream, headers] = values as [ServerHttp2Stream, Http2Headers];
    const socket = isWebSocket(headers);
    const { path } = splitTarget(headers[":path"] ?? "");
    const take = socket ? (byPath.get(path) ?? byPath.get(EVERY_PATH)) : undefined;
    if (take !== undefined) take(new Http2Approach(stream, headers));
    else if (isHeard(server, socket)) emit(event, ...values);
    else respond(stream, 404);
    return true;
  };
  server.emit = emitOthers;
  server.updateSettings({ enableConnectProtocol: true }); // RFC 8441 §3
  const routes: Routes = {
    byPath,
    stop: () => {
      // Whoever has wrapped `emit` since then keeps calling it; with no paths it only passes on.
      if (server.emit === emitOthers) delete (server as { emit?: unknown }).emit;
    },
  };
  routesOf.set(server, routes);
  return routes;
}

/** Whether somebody listens who may answer a stream. @param socket whether it asks for a WebSocket. */
function isHeard(server: AnyHttp2Server, socket: boolean): boolean {
  const compatible = server.listenerCount("request") > 0 ? 1 : 0;
  // The compatible API gives WebSockets to `connect`, like every CONNECT.
  if (server.listenerCount("stream") > compatible) return true;
  return compatible > 0 && (!socket || server.listenerCount("connect") > 0);
}

/** RFC 8441 §4: the method is CONNECT, and `:protocol` says what for. */
function isWebSocket(headers: Http2Headers): boolean {
  return headers[":method"] === "CONNECT" && headers[":protocol"] === "websocket";
}

/** A stream's errors end the stream, which `close` tells; without a listener they would end the process. */
function ignore(): void {}

/** RFC 9113 §7. */
const NO_ERROR = 0x0;

/** Header names that HTTP/2 has no use for, RFC 9113 §8.2.2. */
const ABOUT_CONNECTIONS: ReadonlySet<string> = new Set([
  "connection",
  "upgrade",
  "keep-alive",
  "proxy-connection",
  "transfer-encoding",
  "http2-settings",
  "te",
]);

function respond(
  stream: ServerHttp2Stream,
  status: number,
  body: string = STATUS_CODES[status] ?? "",
  headers: Readonly<Record<string, string>> = {},
): void {
  stream.on("error", ignore);
  if (stream.destroyed || stream.headersSent) return;
  stream.respond({ "content-type": "text/plain; charset=utf-8", ...sendable(headers), ":status": status });
  // What the peer still sends is read and forgotten until it learns, RFC 9113 §8.1, that nobody reads it.
  stream.resume();
  stream.end(body, () => stream.close(NO_ERROR));
}

function sendable(headers: Readonly<Record<string, string>>): Record<string, string> {
  const lower = Object.entries(headers).map(([name, value]) => [name.toLowerCase(), value] as const);
  return Object.fromEntries(lower.filter(([name]) => !ABOUT_CONNECTIONS.has(name)));
}

/** A stream of HTTP/2 that asked to become a WebSocket. */
class Http2Approach implements Approach {
  readonly carrier = "http2";
  readonly stream: ServerHttp2Stream;
  readonly head: Uint8Array = new Uint8Array(0);
  readonly #headers: Http2Headers;

  constructor(stream: ServerHttp2Stream, headers: Http2Headers) {
    this.stream = stream;
    this.#headers = headers;
  }

  get method(): string {
    return this.#headers[":method"] ?? "";
  }

  get headerSize(): number {
    let size = 0;
    for (const [name, value] of Object.entries(this.#headers)) size += name.length + String(value).length;
    return size;
  }

  get remoteAddress(): string {
    return remoteAddress(this.stream);
  }

  header(name: string): string | undefined {
    const value = this.#headers[name];
    return Array.isArray(value) ? value.join(", ") : value;
  }

  request(protocols: readonly string[]): UpgradeRequest {
    return new Http2Request(this.stream, this.#headers, protocols);
  }

  refuse(status: number, body?: string, headers?: Readonly<Record<string, string>>): void {
    respond(this.stream, status, body, headers);
  }

  accept(_key: string, answer: HandshakeAnswer): string {
    // RFC 8441 §5: success is a 2xx; there is no Sec-WebSocket-Accept.
    this.stream.respond({
      ...sendable(answer.headers ?? {}),
      ":status": 200,
      ...(answer.protocol !== "" && { "sec-websocket-protocol": answer.protocol }),
      ...(answer.extensions !== "" && { "sec-websocket-extensions": answer.extensions }),
    });
    return "";
  }
}

function remoteAddress(stream: ServerHttp2Stream): string {
  const { session } = stream;
  // The socket of a session that is gone throws for every property.
  return session === undefined || session.destroyed ? "" : (session.socket.remoteAddress ?? "");
}

/** What `upgrade` is shown. */
class Http2Request implements UpgradeRequest {
  readonly protocols: readonly string[];
  readonly #stream: ServerHttp2Stream;
  readonly #headers: Http2Headers;
  #all: IncomingHttpHeaders | undefined;
  #raw: Http2ServerRequest | undefined;

  constructor(stream: ServerHttp2Stream, headers: Http2Headers, protocols: readonly string[]) {
    this.#stream = stream;
    this.#headers = headers;
    this.protocols = protocols;
  }

  get path(): string {
    return splitTarget(this.#headers[":path"] ?? "").path;
  }

  get query(): string {
    return splitTarget(this.#headers[":path"] ?? "").query;
  }

  /** With `host` as HTTP/1.1 would have it, RFC 9113 §8.3.1: handlers need not know the version. */
  get headers(): IncomingHttpHeaders {
    this.#all ??= { ...this.#headers, host: this.#headers[":authority"] ?? this.#headers.host };
    return this.#all;
  }

  get origin(): string | undefined {
    const { origin } = this.#headers;
    return typeof origin === "string" ? origin : undefined;
  }

  get remoteAddress(): string {
    return remoteAddress(this.#stream);
  }

  get secure(): boolean {
    return this.#stream.session?.encrypted === true;
  }

  get raw(): Http2ServerRequest {
    if (this.#raw === undefined) {
      // Loaded by whoever made the server; those who have none need not pay for it.
      const http2 = process.getBuiltinModule("node:http2");
      this.#raw = new http2.Http2ServerRequest(this.#stream, this.#headers, {}, []);
    }
    return this.#raw;
  }
}
