import { acceptKey } from "./accept-key.ts";
import { WebSocketError } from "./errors.ts";
import type { Extension } from "./header-values.ts";
import { hasToken, isHeaderValue, isToken, parseExtensions, parseTokens } from "./header-values.ts";
import type { HttpHead } from "./http-head.ts";
import { WEBSOCKET_VERSION } from "./server-handshake.ts";

/** What a client asks for. */
export interface ClientHandshake {
  /** Path and query, RFC 6455 §3. */
  readonly target: string;
  /** Host, and port unless it is the scheme's own. */
  readonly host: string;
  /** Base64 of 16 random bytes, RFC 6455 §4.1 item 7. */
  readonly key: string;
  readonly protocols: readonly string[];
  /** As `Sec-WebSocket-Extensions` offers them; empty for none. */
  readonly extensions: string;
  readonly headers: Readonly<Record<string, string>>;
}

/** The request that opens a WebSocket over HTTP/1.1, RFC 6455 §4.1. @throws WebSocketError INVALID_ARGUMENT */
export function buildRequest(handshake: ClientHandshake): string {
  const { target, host, key, protocols, extensions, headers } = handshake;
  for (const protocol of protocols) {
    if (!isToken(protocol))
      throw new WebSocketError("INVALID_ARGUMENT", `subprotocol ${JSON.stringify(protocol)} is no token`);
  }
  let request =
    `GET ${target} HTTP/1.1\r\nHost: ${host}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n` +
    `Sec-WebSocket-Key: ${key}\r\nSec-WebSocket-Version: ${WEBSOCKET_VERSION}\r\n`;
  if (protocols.length > 0) request += `Sec-WebSocket-Protocol: ${protocols.join(", ")}\r\n`;
  if (extensions !== "") request += `Sec-WebSocket-Extensions: ${extensions}\r\n`;
  for (const [name, value] of Object.entries(headers)) {
    if (!isToken(name) || !isHeaderValue(value)) {
      throw new WebSocketError("INVALID_ARGUMENT", `header ${JSON.stringify(name)} cannot be sent`);
    }
    request += `${name}: ${value}\r\n`;
  }
  return `${request}\r\n`;
}

/** What the server agreed to. */
export interface ClientAgreement {
  /** Empty for none. */
  readonly protocol: string;
  /** To be checked against what was offered, RFC 6455 §4.1: an extension that was not offered fails the handshake. */
  readonly extensions: readonly Extension[];
}

/** The status code of a response's first line, RFC 9112 §4; 0 when it is none. */
export function responseStatus(head: HttpHead): number {
  const { startLine } = head;
  if (!startLine.startsWith("HTTP/1.1 ") && !startLine.startsWith("HTTP/1.0 ")) return 0;
  const code = startLine.slice(9, 12);
  for (let i = 0; i < 3; i++) {
    const digit = code.charCodeAt(i);
    if (!(digit >= 0x30 && digit <= 0x39)) return 0;
  }
  return Number(code);
}

/** Checks a server's 101 response, RFC 6455 §4.1. @throws WebSocketError HANDSHAKE_INVALID with what is wrong. */
export function checkResponse(head: HttpHead, request: Pick<ClientHandshake, "key" | "protocols">): ClientAgreement {
  const wrong = (detail: string): WebSocketError => new WebSocketError("HANDSHAKE_INVALID", detail);
  const status = responseStatus(head);
  if (status !== 101) throw wrong(`the server answered ${status === 0 ? "no HTTP/1.1" : status}, not 101`);
  if (head.headers.get("upgrade")?.toLowerCase() !== "websocket") throw wrong("the Upgrade header is not `websocket`");
  if (!hasToken(head.headers.get("connection"), "upgrade")) throw wrong("the Connection header lacks `upgrade`");
  if (head.headers.get("sec-websocket-accept") !== acceptKey(request.key))
    throw wrong("Sec-WebSocket-Accept does not match the key");
  const chosen = head.headers.get("sec-websocket-protocol");
  const protocols = chosen === undefined ? [] : parseTokens(chosen);
  if (protocols === undefined || protocols.length > 1) throw wrong("Sec-WebSocket-Protocol is malformed");
  const protocol = protocols[0] ?? "";
  if (protocol !== "" && !request.protocols.includes(protocol)) throw wrong(`subprotocol ${protocol} was not offered`);
  const agreed = head.headers.get("sec-websocket-extensions");
  const extensions = agreed === undefined ? [] : parseExtensions(agreed);
  if (extensions === undefined) throw wrong("Sec-WebSocket-Extensions is malformed");
  return { protocol, extensions };
}
