/** As a method's, its parameter may be narrower: a DOM event where only these properties are read. */
type Handler<Event> = { handle(event: Event): void }["handle"] | null;

/**
 * One line to a server, as WHATWG's `WebSocket` has it; what `transport` makes.
 * An implementation MUST call `onclose` exactly once, after which nothing else is called, and MUST NOT call anything before it was returned.
 */
export interface Transport {
  /** The subprotocol that the server picked. */
  readonly protocol: string;
  binaryType: string;
  onopen: Handler<unknown>;
  onmessage: Handler<{ readonly data: unknown }>;
  onclose: Handler<{ readonly code: number; readonly reason: string }>;
  /** `onclose` follows. */
  onerror: Handler<unknown>;
  send(message: string | Uint8Array<ArrayBuffer>): void;
  close(code?: number, reason?: string): void;
}

/** Makes a line to `url`, offering `protocols`; for example `(url, protocols) => new WebSocket(url, protocols)`. What it throws counts as a failed attempt. */
export type TransportFactory = (url: string, protocols: string[]) => Transport | Promise<Transport>;

/** In a page a relative address and `http:` are understood too: `/ws` is this page's own server. @throws {TypeError} where it is none. */
export function webSocketUrl(url: string): string {
  const base = (globalThis as { location?: { href: string } }).location?.href;
  let href = "";
  try {
    ({ href } = new URL(url, base));
  } catch {
    // Told below: outside a page, `/ws` is no address.
  }
  if (!/^(http|ws)s?:/.test(href)) throw new TypeError(`not an address of a WebSocket server (ws://…): ${url}`);
  return href.replace(/^http/, "ws");
}
