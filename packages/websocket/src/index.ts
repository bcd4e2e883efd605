export type { Accept, Handlers, Message, Prepared, Refuse, Socket, UpgradeRequest } from "./node/api.ts";
export { createWebSocketServer } from "./node/server.ts";
export type { AttachOptions, CloseOptions, WebSocketServer } from "./node/server.ts";
export type { OverflowPolicy, ServerOptions } from "./node/options.ts";
export { errorTable, WebSocketError } from "./core/errors.ts";
export type { WebSocketErrorCode } from "./core/errors.ts";
