import type { TransportFactory } from "../transport.ts";

export const openWebSocket: TransportFactory = (url, protocols) => new WebSocket(url, protocols);
