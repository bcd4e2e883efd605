import type { Agent } from "node:http";
import type { ConnectionOptions } from "node:tls";
import { WebSocketError } from "../core/errors.ts";
import { isHeaderValue, isToken } from "../core/header-values.ts";
import { readInteger } from "./integer-option.ts";
import type { IntegerOption } from "./integer-option.ts";
import { integerOptions, readServerOptions } from "./options.ts";
import type { ServerLimits, ServerOptions } from "./options.ts";

/**
 * What a browser's WebSocket cannot be told; all have defaults. What a client shares with a server means the same, but
 * `maxMessage` is 64 MiB and `maxBuffered` 2^31-1 by default, since code written for browsers expects no limits.
 */
export interface WebSocketOptions extends ServerOptions {
  /** Further headers of the request. Those of the handshake itself are refused. Default none. */
  readonly headers?: Readonly<Record<string, string>>;
  /** The `Origin` header. Default none, which tells a server that this is no browser. */
  readonly origin?: string;
  /**
   * For `wss`, as `tls.connect` has them: `ca`, `cert`, `key`, `servername`, … Default none: the certificate is verified
   * against Node's own authorities and the URL's host.
   */
  readonly tls?: ConnectionOptions;
  /** Makes the connection, through a proxy for example: any `http.Agent` (`https.Agent` for `wss`). Default: a connection of its own, straight. */
  readonly agent?: Agent;
  /** How many redirects (301, 302, 303, 307, 308) are followed, never from `wss` to `ws`; credentials stay with their origin. 0 to 20, default 0: a redirect fails. */
  readonly followRedirects?: number;
}

/** Options with their defaults filled in. */
export interface ResolvedClientOptions {
  readonly limits: ServerLimits;
  readonly headers: Readonly<Record<string, string>>;
  readonly origin: string | undefined;
  readonly tls: ConnectionOptions | undefined;
  readonly agent: Agent | undefined;
  readonly followRedirects: number;
}

/** The numeric options that a client has alone, or with another default: least, most, default. */
export const clientIntegerOptions: Readonly<Record<"maxMessage" | "maxBuffered" | "followRedirects", IntegerOption>> = {
  // A client has chosen its server, and browsers take what they are sent.
  maxMessage: { ...integerOptions.maxMessage, standard: 64 * 1024 * 1024 },
  // Browsers never cut off a connection for what `send` was given: the application watches `bufferedAmount`.
  maxBuffered: { ...integerOptions.maxBuffered, standard: integerOptions.maxBuffered.most },
  followRedirects: { least: 0, most: 20, standard: 0 },
};

/** Header names that the handshake writes itself, RFC 6455 §4.1. */
const OWN_HEADERS: ReadonlySet<string> = new Set([
  "connection",
  "upgrade",
  "content-length",
  "transfer-encoding",
  "sec-websocket-key",
  "sec-websocket-version",
  "sec-websocket-protocol",
  "sec-websocket-extensions",
]);

/** Fills in defaults. @throws WebSocketError INVALID_OPTION, naming the option. */
export function readClientOptions(options: WebSocketOptions): ResolvedClientOptions {
  const { headers = {}, origin, tls, agent, followRedirects, ...shared } = options;
  for (const [name, value] of Object.entries(headers)) {
    if (!isToken(name) || typeof value !== "string" || !isHeaderValue(value)) {
      throw new WebSocketError("INVALID_OPTION", `headers: ${JSON.stringify(name)} cannot be sent`);
    }
    if (OWN_HEADERS.has(name.toLowerCase())) {
      throw new WebSocketError("INVALID_OPTION", `headers: ${name} is written by the handshake; leave it out`);
    }
  }
  if (origin !== undefined && (typeof origin !== "string" || !isHeaderValue(origin))) {
    throw new WebSocketError("INVALID_OPTION", "origin must be a header's value");
  }
  const limits = readServerOptions({
    ...shared,
    maxMessage: shared.maxMessage ?? clientIntegerOptions.maxMessage.standard,
    maxBuffered: shared.maxBuffered ?? clientIntegerOptions.maxBuffered.standard,
  });
  const redirects = readInteger("followRedirects", followRedirects, clientIntegerOptions.followRedirects);
  return { limits, headers, origin, tls, agent, followRedirects: redirects };
}
