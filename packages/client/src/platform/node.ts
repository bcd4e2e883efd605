import type { TransportFactory } from "../transport.ts";

/** Node ≥ 22's own WebSocket; on Node 20, which has none, `@zuruf/websocket`'s, loaded only then. */
export const openWebSocket: TransportFactory = async (url, protocols) => {
  const Socket = globalThis.WebSocket ?? (await import("@zuruf/websocket")).WebSocket;
  return new Socket(url, protocols);
};
