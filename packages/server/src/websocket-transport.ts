import { SharedMessages, type Hub, type HubConnection, type Transport } from "@zuruf/hub";
import { binaryCodec, CloseCode, jsonCodec, type Codec } from "@zuruf/protocol";
import {
  createWebSocketServer,
  WebSocketError,
  type Handlers,
  type Prepared,
  type Socket,
  type UpgradeRequest,
  type WebSocketServer,
} from "@zuruf/websocket";
import type { Admission } from "./admission.ts";
import type { Logger } from "./log.ts";

/** The protocol's codecs by the subprotocol that names them. */
const codecs: ReadonlyMap<string, Codec> = new Map([jsonCodec, binaryCodec].map((codec) => [codec.name, codec]));

/** One client's line: what the upgrade decided, and from `open` on the hub's side of it. */
export interface Line {
  /** Undefined: the client speaks no codec of ours. */
  readonly codec: Codec | undefined;
  readonly address: string;
  /** The upgrade's headers, given to the hub and not kept here. */
  headers: Readonly<Record<string, string>> | undefined;
  connection: HubConnection | undefined;
}

export interface WebSocketTransportOptions {
  readonly admit: Admission;
  readonly maxMessage: number;
  readonly compression: boolean;
  readonly logger: Logger;
  /** Whether the hub has a hook that wants the upgrade's headers; where none does, they are not kept. */
  readonly wantsHeaders: () => boolean;
}

/** Bytes that a socket may have waiting whatever the hub allows; the hub's own limit comes first, and says why it closes. */
const leastBuffered = 4 * 1024 * 1024;

/** The Zuruf protocol over WebSocket: one socket is one connection of the hub. */
export function webSocketTransport(hub: Hub, options: WebSocketTransportOptions): WebSocketServer<Line> {
  const { admit, maxMessage, compression, logger, wantsHeaders } = options;
  const handlers: Handlers<Line> = {
    upgrade(request) {
      const admitted = admit(request);
      if ("status" in admitted) return admitted;
      const offered = request.protocols.find((name) => codecs.has(name));
      const codec = offered === undefined ? undefined : codecs.get(offered);
      const headers = wantsHeaders() ? flat(request.headers) : undefined;
      const data: Line = { codec, address: admitted.address, headers, connection: undefined };
      // A client that offers only what we do not speak gets its own first word back, because a browser would take an
      // answer without one for a failed handshake (WebSockets Standard §4.1) and never read the close that explains it.
      const protocol = offered ?? request.protocols[0];
      return protocol === undefined ? { data } : { data, protocol };
    },
    open(socket) {
      const line = socket.data;
      const { codec, address, headers } = line;
      if (codec === undefined) {
        socket.close(CloseCode.unsupported, "unsupported");
        return;
      }
      line.headers = undefined;
      const transport = new WebSocketTransport(socket, engine);
      line.connection = hub.accept(transport, headers === undefined ? { codec, address } : { codec, address, headers });
    },
    message(socket, message) {
      socket.data.connection?.receive(message);
    },
    drain(socket) {
      socket.data.connection?.drained();
    },
    close(socket, code, reason) {
      socket.data.connection?.closed(code, reason);
    },
    error(socket, error) {
      // What peers do wrong is their business; what we do wrong is the operator's.
      const level = error instanceof WebSocketError && error.code !== "HANDLER_FAILED" ? "debug" : "error";
      logger[level]({ err: error, address: socket.data.address }, "a WebSocket failed");
    },
  };
  const maxBuffered = Math.max(leastBuffered, 2 * hub.limits.queueBytes);
  const engine = createWebSocketServer<Line>(handlers, { maxMessage, compression, maxBuffered });
  return engine;
}

class WebSocketTransport implements Transport {
  readonly #socket: Socket<Line>;
  readonly #engine: WebSocketServer<Line>;

  constructor(socket: Socket<Line>, engine: WebSocketServer<Line>) {
    this.#socket = socket;
    this.#engine = engine;
  }

  send(message: string | Uint8Array | SharedMessages): boolean {
    if (!(message instanceof SharedMessages)) return this.#socket.send(message);
    message.frame ??= this.#engine.prepare(...message.messages);
    return this.#socket.send(message.frame as Prepared);
  }

  get bufferedBytes(): number {
    return this.#socket.bufferedBytes;
  }

  close(code: number, reason: string): void {
    this.#socket.close(code, reason);
  }
}

/** Headers with one text each, as hooks get them; without HTTP/2's pseudo-headers. */
function flat(headers: UpgradeRequest["headers"]): Readonly<Record<string, string>> {
  const result: Record<string, string> = Object.create(null) as Record<string, string>;
  for (const [name, value] of Object.entries(headers))
    if (value !== undefined && !name.startsWith(":"))
      result[name] = typeof value === "string" ? value : value.join(", ");
  return result;
}
