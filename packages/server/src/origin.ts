import type { Proxies, Requested } from "./proxies.ts";

/** An origin taken apart: RFC 6454 §6.2's `scheme://host[:port]`, in lower case. */
export interface Origin {
  /** As a browser sends it: without the port where it is the scheme's own. */
  readonly text: string;
  readonly scheme: string;
  readonly host: string;
  readonly port: number | undefined;
}

const defaultPorts: Readonly<Record<string, number>> = { http: 80, https: 443, ws: 80, wss: 443 };

/** Takes an `Origin` header or an allow-list's entry apart; undefined for `null` and for everything that is not exactly one origin. */
export function parseOrigin(text: string): Origin | undefined {
  const end = text.indexOf("://");
  if (end < 1 || text.length > 300) return undefined;
  const scheme = text.slice(0, end).toLowerCase();
  if (!/^[a-z][a-z\d+.-]*$/.test(scheme)) return undefined;
  const authority = parseAuthority(text.slice(end + 3));
  if (authority === undefined) return undefined;
  const usual = defaultPorts[scheme];
  const port = authority.port ?? usual;
  const shown = port === undefined || port === usual ? authority.host : `${authority.host}:${port}`;
  return { text: `${scheme}://${shown}`, scheme, host: authority.host, port };
}

/** `host[:port]` in lower case; undefined when it has anything else in it, such as a path or a user. */
function parseAuthority(text: string): { readonly host: string; readonly port: number | undefined } | undefined {
  const [, host, port] = /^(\[[\da-fA-F:.]{2,45}\]|[^\s/?#@:[\]\\,*]{1,253})(?::(\d{1,5}))?$/.exec(text) ?? [];
  if (host === undefined) return undefined;
  if (port !== undefined && Number(port) > 65_535) return undefined;
  return { host: host.toLowerCase(), port: port === undefined ? undefined : Number(port) };
}

/**
 * Decides whose pages may open a connection (cross-site WebSocket hijacking, RFC 6455 §10.2).
 * No `Origin` header: not a browser, allowed. `null`: refused. With an allow-list: exactly its origins. Without:
 * the origin's host and port must be those that the request was sent to.
 */
export function originPolicy(
  allowed: readonly string[],
  proxies: Proxies,
): (origin: string | undefined, request: Requested) => boolean {
  const list = new Set(allowed.map((item) => parseOrigin(item)?.text));
  return (header, request) => {
    if (header === undefined) return true;
    const origin = parseOrigin(header);
    if (origin === undefined) return false;
    if (list.size > 0) return list.has(origin.text);
    return isSameHost(origin, proxies.target(request));
  };
}

function isSameHost(origin: Origin, target: { readonly host: string | undefined; readonly secure: boolean }): boolean {
  const own = target.host === undefined ? undefined : parseAuthority(target.host);
  if (own === undefined || origin.port === undefined) return false;
  // A client leaves out the port that its scheme implies. Behind a proxy that ends TLS and is not trusted to say so, the
  // request looks plain although the page is https: then the origin's scheme says which port was left out.
  const implied = target.secure ? 443 : defaultPorts[origin.scheme];
  return own.host === origin.host && (own.port ?? implied) === origin.port;
}
