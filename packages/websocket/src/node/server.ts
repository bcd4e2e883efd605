import { createServer } from "node:http";
import type { Server as HttpServer } from "node:http";
import type { Http2SecureServer, Http2Server } from "node:http2";
import type { Server as HttpsServer } from "node:https";
import type { AddressInfo } from "node:net";
import type { Duplex } from "node:stream";
import { WebSocketError } from "../core/errors.ts";
import { isSendableCloseCode } from "../core/close-code.ts";
import { checkRequest, unsendableHeader } from "../core/server-handshake.ts";
import type { HandshakeRequest } from "../core/server-handshake.ts";
import type { Accept, Handlers, Message, Prepared, Refuse, Socket } from "./api.ts";
import { Http1Approach } from "./approach.ts";
import type { Approach } from "./approach.ts";
import { carry } from "./carry.ts";
import { Compression } from "./compression.ts";
import { Deadlines } from "./deadlines.ts";
import { isHttp2, routeHttp2 } from "./http2.ts";
import { nodeLoops } from "./loops.ts";
import { readServerOptions } from "./options.ts";
import type { ServerLimits, ServerOptions } from "./options.ts";
import { PreparedMessage, PreparedSeries } from "./prepared.ts";
import { isRouted, route } from "./routes.ts";
import type { UpgradeTaker } from "./routes.ts";
import { Rounds } from "./rounds.ts";
import type { Shell } from "./shell.ts";
import { EngineSocket } from "./socket.ts";

/** What a WebSocket server attaches to. */
export type AnyServer = HttpServer | HttpsServer | Http2Server | Http2SecureServer;

/** Where on an http.Server a WebSocket server answers. */
export interface AttachOptions {
  /** Exact paths, each starting with `/`. Default: every path that nobody else serves. */
  readonly path?: string | readonly string[];
}

/** How a server says goodbye. */
export interface CloseOptions {
  /** Default 1001, "going away". */
  readonly code?: number;
  /** At most 123 bytes of UTF-8. Default empty. */
  readonly reason?: string;
  /** Milliseconds after which sockets that have not finished are cut off. 0: at once. Default `closeTimeout`. */
  readonly within?: number;
}

/** A WebSocket server: the handlers of an application on any number of HTTP servers. */
export interface WebSocketServer<Data = unknown> {
  /** The sockets that are open or closing. */
  readonly sockets: ReadonlySet<Socket<Data>>;
  /**
   * Serves WebSockets on an HTTP server; others on its `upgrade` event are left alone, a path that nobody serves gets 404.
   * On an HTTP/2 server also those of RFC 8441, many on one connection; its other listeners never see these.
   * @throws WebSocketError INVALID_ARGUMENT when a path is taken already or does not start with `/`.
   */
  attach(server: AnyServer, options?: AttachOptions): void;
  /**
   * Listens with an HTTP server of its own, on every path. Plain requests get 426.
   * @param port 0 for any free one. @param host default 127.0.0.1.
   */
  listen(port: number, host?: string): Promise<AddressInfo>;
  /** One or more messages framed once, to be sent by any number of sockets, in this order and with nothing between them. Bytes are copied. */
  prepare(...messages: readonly Message[]): Prepared;
  /** Takes no more upgrades, closes all sockets, and resolves when none is left. */
  close(options?: CloseOptions): Promise<void>;
}

/** Makes a WebSocket server. @throws WebSocketError INVALID_OPTION */
export function createWebSocketServer<Data = undefined>(
  handlers: Handlers<Data>,
  options: ServerOptions = {},
): WebSocketServer<Data> {
  return new EngineServer(handlers, readServerOptions(options));
}

class EngineServer<Data> implements WebSocketServer<Data> {
  readonly sockets: Set<EngineSocket<Data>> = new Set();
  readonly #limits: ServerLimits;
  readonly #shell: Shell<Data>;
  readonly #handlers: Handlers<Data>;
  readonly #detach: (() => void)[] = [];
  readonly #own: HttpServer[] = [];
  readonly #handshakes: Deadlines<Approach>;
  readonly #compression: Compression | undefined;
  #closing: Promise<void> | undefined;
  #emptied: (() => void) | undefined;

  constructor(handlers: Handlers<Data>, limits: ServerLimits) {
    this.#handlers = handlers;
    this.#limits = limits;
    this.#shell = {
      handlers: this.#watched(handlers),
      connection: {
        role: "server",
        maxMessage: limits.maxMessage,
        maxFrame: limits.maxFrame,
        maxFragments: limits.maxFragments,
        loops: nodeLoops,
      },
      highWaterMark: limits.highWaterMark,
      maxBuffered: limits.maxBuffered,
      overflow: limits.overflow,
      sockets: this.sockets,
      closing: new Deadlines(limits.closeTimeout, (socket) => socket.cutOff()),
      silence: new Rounds(this.sockets, limits.pingInterval / 2, (socket) => socket.lookForSilence()),
      pinged: new Deadlines(limits.pingTimeout, (socket) => socket.expectAnswer()),
    };
    if (limits.compression !== undefined) {
      this.#compression = new Compression(limits.compression, "server", limits.maxMessage, limits.internals);
    }
    this.#handshakes = new Deadlines(limits.handshakeTimeout, (approach) => approach.refuse(503));
  }

  attach(server: AnyServer, options: AttachOptions = {}): void {
    const { path } = options;
    const paths = path === undefined ? undefined : typeof path === "string" ? [path] : path;
    for (const one of paths ?? [undefined]) {
      if (one !== undefined && !one.startsWith("/"))
        throw new WebSocketError("INVALID_ARGUMENT", `path ${one} must start with "/"`);
      if (isRouted(server, one))
        throw new WebSocketError("INVALID_ARGUMENT", `${one ?? "every path"} is served already`);
    }
    const patience = this.#limits.handshakeTimeout;
    // An HTTP/2 server with `allowHTTP1` emits upgrades too.
    const take: UpgradeTaker = (request, stream, head) => this.#upgrade(new Http1Approach(request, stream, head));
    this.#detach.push(route(server, paths, take, patience));
    if (!isHttp2(server)) return;
    this.#detach.push(routeHttp2(server, paths, (approach) => this.#upgrade(approach)));
  }

  async listen(port: number, host = "127.0.0.1"): Promise<AddressInfo> {
    const { maxHeader, handshakeTimeout } = this.#limits;
    const server = createServer(
      {
        maxHeaderSize: maxHeader,
        headersTimeout: handshakeTimeout,
        requestTimeout: handshakeTimeout,
        connectionsCheckingInterval: Math.min(handshakeTimeout, 1000),
      },
      (_request, response) => {
        response
          .writeHead(426, { connection: "upgrade, close", upgrade: "websocket" })
          .end("this server speaks WebSocket");
      },
    );
    this.#own.push(server);
    this.attach(server);
    await new Promise<void>((resolve, reject) => {
      server.once("error", reject);
      server.listen(port, host, resolve);
    });
    return server.address() as AddressInfo;
  }

  prepare(...messages: readonly Message[]): Prepared {
    return messages.length > 1 ? new PreparedSeries(messages) : new PreparedMessage(messages[0] as Message);
  }

  close(options: CloseOptions = {}): Promise<void> {
    const { code = 1001, reason = "", within = this.#limits.closeTimeout } = options;
    if (!isSendableCloseCode(code)) throw new WebSocketError("INVALID_ARGUMENT", `close code ${code}`);
    this.#closing ??= this.#close(code, reason, within);
    return this.#closing;
  }

  async #close(code: number, reason: string, within: number): Promise<void> {
    for (const detach of this.#detach.splice(0)) detach();
    const listening = this.#own.map((server) => new Promise((resolve) => void server.close(resolve)));
    for (const socket of this.sockets) socket.close(code, reason);
    if (this.sockets.size > 0) {
      const emptied = new Promise<void>((resolve) => {
        this.#emptied = resolve;
      });
      const timer = setTimeout(() => {
        for (const socket of this.sockets) socket.terminate();
      }, within);
      await emptied;
      clearTimeout(timer);
    }
    for (const server of this.#own) server.closeAllConnections();
    await Promise.all(listening);
  }

  /** The application's handlers, with an eye on the last socket that leaves. */
  #watched(handlers: Handlers<Data>): Handlers<Data> {
    return Object.assign(Object.create(handlers) as Handlers<Data>, {
      close: (socket: Socket<Data>, code: number, reason: string): void => {
        if (this.sockets.size === 0) this.#emptied?.();
        handlers.close?.(socket, code, reason);
      },
    });
  }

  #upgrade(approach: Approach): void {
    if (approach.headerSize > this.#limits.maxHeader) return approach.refuse(431);
    const asked = checkRequest(approach.method, (name) => approach.header(name), approach.carrier);
    if ("status" in asked) return approach.refuse(asked.status, asked.reason, asked.headers);
    let given: ReturnType<NonNullable<Handlers<Data>["upgrade"]>> | undefined;
    try {
      given = this.#handlers.upgrade?.(approach.request(asked.protocols));
    } catch (thrown) {
      return undecided(approach, thrown);
    }
    if (given !== undefined && "then" in given) return void this.#await(approach, asked, given);
    return this.#answer(approach, asked, given);
  }

  async #await(approach: Approach, asked: HandshakeRequest, given: Promise<Accept<Data> | Refuse>): Promise<void> {
    this.#handshakes.add(approach);
    // Node hands the stream over without a listener: a reset meanwhile must not reach the process.
    approach.stream.on("error", destroy);
    try {
      this.#answer(approach, asked, await given);
    } catch (thrown) {
      undecided(approach, thrown);
    } finally {
      this.#handshakes.delete(approach);
    }
  }

  #answer(approach: Approach, asked: HandshakeRequest, answer: Accept<Data> | Refuse | undefined): void {
    const { stream } = approach;
    if (stream.destroyed || !stream.writable) return void stream.on("error", destroy);
    if (this.#closing !== undefined) return approach.refuse(503);
    if (answer !== undefined && "status" in answer) return approach.refuse(answer.status, answer.body, answer.headers);
    return this.#accept(approach, asked, answer);
  }

  #accept(approach: Approach, asked: HandshakeRequest, answer: Accept<Data> | undefined): void {
    const { stream } = approach;
    const protocol = answer?.protocol ?? "";
    const headers = answer?.headers ?? {};
    const wrong =
      protocol !== "" && !asked.protocols.includes(protocol)
        ? `subprotocol ${protocol} was not offered`
        : unsendableHeader(headers);
    if (wrong !== undefined) {
      process.emitWarning(new WebSocketError("INVALID_ANSWER", wrong));
      return approach.refuse(500);
    }
    const compression = this.#compression?.accept(asked.extensions);
    const extensions = compression?.extensions ?? "";
    const socket = new EngineSocket(this.#shell, stream, answer?.data as Data, {
      protocol,
      extensions,
      remoteAddress: approach.remoteAddress,
      compression: compression && this.#compression?.forSocket(compression.agreement),
    });
    const first = approach.accept(asked.key, { protocol, extensions, headers });
    stream.off("error", destroy);
    return carry(stream, socket, approach.head, this.#limits.internals, first);
  }
}

function destroy(this: Duplex): void {
  this.destroy();
}

/** `upgrade` threw or rejected: a bug in the application, which must be seen, and costs this peer its handshake. */
function undecided(approach: Approach, thrown: unknown): void {
  process.emitWarning(thrown instanceof Error ? thrown : new Error(String(thrown)));
  approach.refuse(500);
}
