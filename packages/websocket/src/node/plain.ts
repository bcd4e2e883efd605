import { ServerResponse } from "node:http";
import type { IncomingMessage } from "node:http";
import type { EventEmitter } from "node:events";
import type { Duplex } from "node:stream";
import type { Socket } from "node:net";
import { hasToken } from "../core/header-values.ts";
import { refuse } from "./refuse.ts";

/** Whether a request wants to upgrade to something else than a WebSocket. */
export function wantsOtherUpgrade(request: IncomingMessage): boolean {
  return !hasToken(request.headers.upgrade, "websocket");
}

/**
 * Serves a request as if it had not asked for an upgrade, RFC 9110 §7.8: a server may ignore that. Some clients ask for
 * `h2c` with every request, and get their answers from servers without WebSockets; attaching one must not change that.
 *
 * Node has given up parsing this connection, so it ends after the response, and a request with a body gets 501.
 */
export function servePlainly(server: EventEmitter, request: IncomingMessage, stream: Duplex): void {
  const { headers } = request;
  stream.on("error", () => stream.destroy()); // Node hands the stream over without a listener
  if (headers["transfer-encoding"] !== undefined || Number(headers["content-length"] ?? 0) !== 0) {
    refuse(stream, 501, "an upgrade to anything but WebSocket, with a body, is not understood here");
    return;
  }
  const response = new ServerResponse(request);
  response.shouldKeepAlive = false;
  response.assignSocket(stream as Socket);
  response.on("finish", () => stream.end());
  request.push(null);
  stream.resume();
  server.emit("request", request, response);
}
