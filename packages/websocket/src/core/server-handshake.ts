import { acceptKey } from "./accept-key.ts";
import { isBase64Of16Bytes } from "./base64.ts";
import type { Extension } from "./header-values.ts";
import { hasToken, isHeaderValue, isToken, parseExtensions, parseTokens } from "./header-values.ts";

/** Looks a header up by its name in lower case; several lines of it are joined with ", ". */
export type HeaderLookup = (name: string) => string | undefined;

/** What a client's opening handshake asks for. */
export interface HandshakeRequest {
  /** `Sec-WebSocket-Key`; empty over HTTP/2, which has none. */
  readonly key: string;
  readonly protocols: readonly string[];
  readonly extensions: readonly Extension[];
}

/** An HTTP response in place of a WebSocket. */
export interface HandshakeRefusal {
  readonly status: number;
  readonly reason: string;
  readonly headers: Readonly<Record<string, string>>;
}

/** The only version there is, RFC 6455 §4.1 item 9. */
export const WEBSOCKET_VERSION = "13";

function refusal(status: number, reason: string, headers: Readonly<Record<string, string>> = {}): HandshakeRefusal {
  return { status, reason, headers };
}

/**
 * Checks a client's opening handshake, RFC 6455 §4.2.1; over HTTP/2, RFC 8441 §5.
 * @returns what it asks for, or how to refuse it.
 */
export function checkRequest(
  method: string,
  header: HeaderLookup,
  carrier: "http1" | "http2" = "http1",
): HandshakeRequest | HandshakeRefusal {
  let key = "";
  if (carrier === "http1") {
    if (method !== "GET") return refusal(405, "a WebSocket handshake is a GET request", { allow: "GET" });
    // RFC 6455 §4.2.1 items 3 and 4.
    if (!hasToken(header("upgrade"), "websocket")) {
      return refusal(426, "this path speaks WebSocket", { upgrade: "websocket", connection: "upgrade" });
    }
    if (!hasToken(header("connection"), "upgrade")) return refusal(400, "the Connection header lacks `upgrade`");
    // RFC 6455 §4.2.1 item 5.
    key = header("sec-websocket-key") ?? "";
    if (!isBase64Of16Bytes(key)) return refusal(400, "Sec-WebSocket-Key is not base64 of 16 bytes");
  }
  // RFC 6455 §4.2.1 item 6, §4.4: say which version there is.
  if (header("sec-websocket-version") !== WEBSOCKET_VERSION) {
    return refusal(426, "only WebSocket version 13 is spoken here", {
      "sec-websocket-version": WEBSOCKET_VERSION,
      ...(carrier === "http1" && { upgrade: "websocket", connection: "upgrade" }),
    });
  }
  // RFC 6455 §4.1 item 10: distinct tokens.
  const offered = header("sec-websocket-protocol");
  const protocols = offered === undefined ? [] : parseTokens(offered);
  if (protocols === undefined || new Set(protocols).size !== protocols.length) {
    return refusal(400, "Sec-WebSocket-Protocol is malformed");
  }
  const wanted = header("sec-websocket-extensions");
  const extensions = wanted === undefined ? [] : parseExtensions(wanted);
  if (extensions === undefined) return refusal(400, "Sec-WebSocket-Extensions is malformed");
  return { key, protocols, extensions };
}

/** What a server answers a handshake with. */
export interface HandshakeAnswer {
  /** One of those offered; empty for none. */
  readonly protocol: string;
  /** As `Sec-WebSocket-Extensions` has them; empty for none. */
  readonly extensions: string;
  readonly headers?: Readonly<Record<string, string>>;
}

/** Header names that the engine writes itself. */
const OWN_HEADERS: ReadonlySet<string> = new Set([
  "connection",
  "upgrade",
  "content-length",
  "transfer-encoding",
  "sec-websocket-accept",
  "sec-websocket-protocol",
  "sec-websocket-extensions",
]);

/** The first of an answer's headers that cannot be sent, with the reason; undefined when all can. */
export function unsendableHeader(headers: Readonly<Record<string, string>>): string | undefined {
  for (const [name, value] of Object.entries(headers)) {
    if (!isToken(name)) return `header name ${JSON.stringify(name)} is not a token`;
    if (OWN_HEADERS.has(name.toLowerCase())) return `header ${name} is written by the engine`;
    if (typeof value !== "string" || !isHeaderValue(value)) return `header ${name} has a value that cannot be sent`;
  }
  return undefined;
}

/**
 * The 101 response over HTTP/1.1, RFC 6455 §4.2.2. Check `answer.headers` with `unsendableHeader` first.
 * @param accept `acceptKey(key)`, where the platform has a faster SHA-1.
 */
export function acceptResponse(key: string, answer: HandshakeAnswer, accept: string = acceptKey(key)): string {
  let response =
    "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: " + accept;
  if (answer.protocol !== "") response += `\r\nSec-WebSocket-Protocol: ${answer.protocol}`;
  if (answer.extensions !== "") response += `\r\nSec-WebSocket-Extensions: ${answer.extensions}`;
  if (answer.headers !== undefined) {
    for (const [name, value] of Object.entries(answer.headers)) response += `\r\n${name}: ${value}`;
  }
  return `${response}\r\n\r\n`;
}
