import { randomBytes } from "node:crypto";
import { request as httpRequest } from "node:http";
import type { ClientRequest, IncomingMessage, OutgoingHttpHeaders, RequestOptions } from "node:http";
import { request as httpsRequest } from "node:https";
import { unescape } from "node:querystring";
import type { Duplex } from "node:stream";
import { checkResponse } from "../core/client-handshake.ts";
import { checkAnswer, makeOffer } from "../core/deflate.ts";
import type { DeflateAgreement, DeflateWishes } from "../core/deflate.ts";
import { WebSocketError } from "../core/errors.ts";
import { formatExtensions } from "../core/header-values.ts";
import { WEBSOCKET_VERSION } from "../core/server-handshake.ts";
import type { ResolvedClientOptions } from "./client-options.ts";
import { webSocketUrl } from "./client-url.ts";

/** A connection whose opening handshake has succeeded. */
export interface Dialled {
  readonly stream: Duplex;
  /** What the server sent behind its response. */
  readonly head: Uint8Array;
  /** Empty for none. */
  readonly protocol: string;
  /** As the server's header has them; empty for none. */
  readonly extensions: string;
  readonly deflate: DeflateAgreement | undefined;
}

type Agreed = Pick<Dialled, "protocol" | "extensions" | "deflate">;

/** What becomes of a dial: exactly one of the two is called, and never before `dial`, or the giving up, has returned. */
export interface DialOutcome {
  opened(dialled: Dialled): void;
  failed(error: WebSocketError): void;
}

/** Statuses whose `Location` may be followed with a GET, RFC 9110 §15.4. */
const REDIRECTS: ReadonlySet<number> = new Set([301, 302, 303, 307, 308]);
/** What must not reach another origin than the one it was meant for. */
const CREDENTIALS: ReadonlySet<string> = new Set(["authorization", "cookie", "proxy-authorization"]);

/**
 * Connects to a server and shakes hands, RFC 6455 §4.1.
 * @param wishes the compression to offer; undefined: none.
 * @returns gives up, with this reason; nothing if the outcome is known already.
 */
export function dial(
  target: URL,
  protocols: readonly string[],
  options: ResolvedClientOptions,
  wishes: DeflateWishes | undefined,
  outcome: DialOutcome,
): (reason: WebSocketError) => void {
  let url = target;
  let headers = options.headers;
  let followed = 0;
  let settled = false;
  let request: ClientRequest | undefined;
  let timer: NodeJS.Timeout | undefined;

  const fail = (error: WebSocketError): void => {
    if (settled) return;
    settled = true;
    clearTimeout(timer);
    request?.destroy();
    process.nextTick(() => outcome.failed(error)); // never while the caller's own code runs
  };

  const follow = (response: IncomingMessage, status: number): void => {
    const location = response.headers.location;
    if (location === undefined) throw new WebSocketError("HANDSHAKE_REFUSED", `${status} without a Location`);
    if (++followed > options.followRedirects) {
      throw new WebSocketError("HANDSHAKE_REFUSED", `${status}; more than ${options.followRedirects} redirects`);
    }
    const next = webSocketUrl(location, url);
    if (url.protocol === "wss:" && next.protocol !== "wss:") {
      throw new WebSocketError("HANDSHAKE_REFUSED", `the redirect to ${next.origin} would give up TLS`);
    }
    if (next.host !== url.host || next.protocol !== url.protocol) {
      headers = Object.fromEntries(Object.entries(headers).filter(([name]) => !CREDENTIALS.has(name.toLowerCase())));
    }
    request?.destroy();
    url = next;
    attempt();
  };

  const attempt = (): void => {
    const key = randomBytes(16).toString("base64"); // RFC 6455 §4.1 item 7
    const current = (url.protocol === "wss:" ? httpsRequest : httpRequest)(
      requestOptions(url, headers, key, protocols, options, wishes),
    );
    request = current;
    current.on("upgrade", (response, stream, head) => {
      // A request that was given up may still see its answer.
      if (settled || request !== current) {
        stream.destroy();
        return;
      }
      let agreed: Agreed;
      try {
        agreed = agreement(response, key, protocols, wishes);
      } catch (error) {
        stream.destroy();
        fail(asWebSocketError(error));
        return;
      }
      settled = true;
      clearTimeout(timer);
      outcome.opened({ stream, head, ...agreed });
    });
    current.on("response", (response) => {
      if (settled || request !== current) return;
      const status = response.statusCode ?? 0;
      try {
        // Node takes a 101 without an upgrade for a plain response, or (below) for an interim one.
        if (status === 101) throw notUpgraded();
        if (options.followRedirects === 0 || !REDIRECTS.has(status)) throw refused(url, response);
        follow(response, status);
      } catch (error) {
        fail(asWebSocketError(error));
      }
    });
    current.on("information", ({ statusCode }) => {
      if (statusCode === 101) fail(notUpgraded());
    });
    current.on("error", (cause) => {
      if (request !== current) return;
      fail(new WebSocketError("CONNECT_FAILED", `${url.host}: ${cause.message}`, { cause }));
    });
    current.end();
  };

  attempt();
  const { handshakeTimeout } = options.limits;
  timer = setTimeout(() => fail(new WebSocketError("HANDSHAKE_TIMEOUT", `${handshakeTimeout} ms`)), handshakeTimeout);
  return fail;
}

function requestOptions(
  url: URL,
  headers: Readonly<Record<string, string>>,
  key: string,
  protocols: readonly string[],
  options: ResolvedClientOptions,
  wishes: DeflateWishes | undefined,
): RequestOptions {
  const all: OutgoingHttpHeaders = {
    ...headers,
    Upgrade: "websocket",
    Connection: "Upgrade",
    "Sec-WebSocket-Key": key,
    "Sec-WebSocket-Version": WEBSOCKET_VERSION,
  };
  if (protocols.length > 0) all["Sec-WebSocket-Protocol"] = protocols.join(", ");
  if (wishes !== undefined) all["Sec-WebSocket-Extensions"] = formatExtensions([makeOffer(wishes)]);
  if (options.origin !== undefined) all["Origin"] = options.origin;
  return {
    ...options.tls,
    method: "GET",
    hostname: url.hostname.startsWith("[") ? url.hostname.slice(1, -1) : url.hostname, // an IPv6 address
    port: url.port === "" ? (url.protocol === "wss:" ? 443 : 80) : Number(url.port),
    path: url.pathname + url.search,
    headers: all,
    agent: options.agent ?? false,
    maxHeaderSize: options.limits.maxHeader,
    ...((url.username !== "" || url.password !== "") && {
      auth: `${unescape(url.username)}:${unescape(url.password)}`,
    }),
  };
}

/** What a 101 response agrees to. @throws WebSocketError HANDSHAKE_INVALID */
function agreement(
  response: IncomingMessage,
  key: string,
  protocols: readonly string[],
  wishes: DeflateWishes | undefined,
): Agreed {
  const headers = new Map<string, string>();
  for (const [name, value] of Object.entries(response.headersDistinct)) headers.set(name, value?.join(", ") ?? "");
  const startLine = `HTTP/${response.httpVersion} ${response.statusCode ?? 0} ${response.statusMessage ?? ""}`;
  const { protocol, extensions } = checkResponse({ startLine, headers }, { key, protocols });
  const [extension] = extensions;
  if (extension === undefined) return { protocol, extensions: "", deflate: undefined };
  // RFC 6455 §4.1: an extension that was not offered fails the connection; one is offered, so one is answered.
  const deflate = wishes !== undefined && extensions.length === 1 ? checkAnswer(extension, wishes) : undefined;
  const text = formatExtensions(extensions);
  if (deflate === undefined)
    throw new WebSocketError("HANDSHAKE_INVALID", `extension ${text} was not offered like that`);
  return { protocol, extensions: text, deflate };
}

function refused(url: URL, response: IncomingMessage): WebSocketError {
  const { statusCode, statusMessage, headers } = response;
  return new WebSocketError("HANDSHAKE_REFUSED", `${url.host}${url.pathname}: ${statusCode} ${statusMessage}`, {
    cause: { status: statusCode, headers },
  });
}

function notUpgraded(): WebSocketError {
  return new WebSocketError(
    "HANDSHAKE_INVALID",
    "the server's 101 lacks `Upgrade: websocket` or `Connection: Upgrade`",
  );
}

function asWebSocketError(error: unknown): WebSocketError {
  if (error instanceof WebSocketError) return error;
  return new WebSocketError("HANDSHAKE_INVALID", (error as Error).message, { cause: error });
}
