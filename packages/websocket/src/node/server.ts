import { createServer } from "node:http";
import type { IncomingMessage, Server as HttpServer } from "node:http";
import type { Server as HttpsServer } from "node:https";
import { Socket as NetSocket } from "node:net";
import type { AddressInfo } from "node:net";
import type { Duplex } from "node:stream";
import { WebSocketError } from "../core/errors.ts";
import { isSendableCloseCode } from "../core/close-code.ts";
import { acceptResponse, checkRequest, unsendableHeader } from "../core/server-handshake.ts";
import type { HandshakeRequest } from "../core/server-handshake.ts";
import type { Accept, Handlers, Message, Prepared, Refuse, Socket } from "./api.ts";
import { carry } from "./carry.ts";
import { Deadlines } from "./deadlines.ts";
import { nodeLoops } from "./loops.ts";
import { readServerOptions } from "./options.ts";
import type { ServerLimits, ServerOptions } from "./options.ts";
import { PreparedMessage } from "./prepared.ts";
import { refuse } from "./refuse.ts";
import { EngineRequest } from "./request.ts";
import { isRouted, route } from "./routes.ts";
import type { Shell } from "./shell.ts";
import { EngineSocket } from "./socket.ts";

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
   * @throws WebSocketError INVALID_ARGUMENT when a path is taken already or does not start with `/`.
   */
  attach(server: HttpServer | HttpsServer, options?: AttachOptions): void;
  /**
   * Listens with an HTTP server of its own, on every path. Plain requests get 426.
   * @param port 0 for any free one. @param host default 127.0.0.1.
   */
  listen(port: number, host?: string): Promise<AddressInfo>;
  /** A message framed once, to be sent by any number of sockets. Bytes are copied. */
  prepare(message: Message): Prepared;
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
  readonly #handshakes: Deadlines<Duplex>;
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
      silent: new Deadlines(limits.pingInterval, (socket) => socket.lookForSilence()),
      pinged: new Deadlines(limits.pingTimeout, (socket) => socket.expectAnswer()),
    };
    this.#handshakes = new Deadlines(limits.handshakeTimeout, (stream) => refuse(stream, 503));
  }

  attach(server: HttpServer | HttpsServer, options: AttachOptions = {}): void {
    const { path } = options;
    const paths = path === undefined ? undefined : typeof path === "string" ? [path] : path;
    for (const one of paths ?? [undefined]) {
      if (one !== undefined && !one.startsWith("/"))
        throw new WebSocketError("INVALID_ARGUMENT", `path ${one} must start with "/"`);
      if (isRouted(server, one))
        throw new WebSocketError("INVALID_ARGUMENT", `${one ?? "every path"} is served already`);
    }
    const take = (request: IncomingMessage, stream: Duplex, head: Buffer): void =>
      void this.#upgrade(request, stream, head);
    this.#detach.push(route(server, paths, take, this.#limits.handshakeTimeout));
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

  prepare(message: Message): Prepared {
    return new PreparedMessage(message);
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

  async #upgrade(request: IncomingMessage, stream: Duplex, head: Buffer): Promise<void> {
    const broken = (): void => void stream.destroy();
    // Node hands the stream over without a listener: a reset during the handshake must not reach the process.
    stream.on("error", broken);
    const { maxHeader } = this.#limits;
    let size = 0;
    for (const text of request.rawHeaders) size += text.length;
    if (size > maxHeader) return refuse(stream, 431);
    const asked = checkRequest(request.method ?? "", (name) => {
      const value = request.headers[name];
      return Array.isArray(value) ? value.join(", ") : value;
    });
    if ("status" in asked) return refuse(stream, asked.status, asked.reason, asked.headers);
    let answer: Accept<Data> | Refuse | undefined;
    if (this.#handlers.upgrade !== undefined) {
      try {
        const given = this.#handlers.upgrade(new EngineRequest(request, asked.protocols));
        if (given instanceof Promise) {
          this.#handshakes.add(stream);
          answer = await given;
          this.#handshakes.delete(stream);
        } else {
          answer = given;
        }
      } catch (thrown) {
        this.#handshakes.delete(stream);
        process.emitWarning(thrown instanceof Error ? thrown : new Error(String(thrown)));
        return refuse(stream, 500);
      }
    }
    if (stream.destroyed || !stream.writable) return undefined;
    if (this.#closing !== undefined) return refuse(stream, 503);
    if (answer !== undefined && "status" in answer) return refuse(stream, answer.status, answer.body, answer.headers);
    stream.off("error", broken);
    return this.#accept(request, stream, head, asked, answer);
  }

  #accept(
    request: IncomingMessage,
    stream: Duplex,
    head: Buffer,
    asked: HandshakeRequest,
    answer: Accept<Data> | undefined,
  ): void {
    const protocol = answer?.protocol ?? "";
    const headers = answer?.headers ?? {};
    const wrong =
      protocol !== "" && !asked.protocols.includes(protocol)
        ? `subprotocol ${protocol} was not offered`
        : unsendableHeader(headers);
    if (wrong !== undefined) {
      process.emitWarning(new WebSocketError("INVALID_ANSWER", wrong));
      stream.on("error", () => stream.destroy());
      return refuse(stream, 500);
    }
    if (stream instanceof NetSocket) {
      stream.setTimeout(0);
      stream.setNoDelay(true);
    }
    const response = acceptResponse(asked.key, { protocol, extensions: "", headers });
    const socket = new EngineSocket(this.#shell, stream, answer?.data as Data, {
      protocol,
      extensions: "",
      remoteAddress: request.socket.remoteAddress ?? "",
    });
    socket.sendRaw(Buffer.from(response, "latin1"));
    return carry(stream, socket, head, this.#limits.internals);
  }
}
