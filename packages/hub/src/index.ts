export {
  BackplaneError,
  type Backplane,
  type BackplaneErrorCode,
  type BackplaneSink,
  type HistoryPage,
  type InstanceId,
  type Item,
  type Line,
  type Position,
  type PublishOptions,
  type Retention,
} from "./backplane.ts";
export type { ChannelRecord, ConnectionRecord, Reach, RecordPage, Target } from "./administration.ts";
export type { CallHandler, CallRequest } from "./calls.ts";
export type { ChannelOptions } from "./channel-options.ts";
export type { Random } from "./client-id.ts";
export type { Counters } from "./counters.ts";
export { duration } from "./duration.ts";
export type { Log } from "./errors.ts";
export type {
  Access,
  ConnectGrant,
  ConnectRequest,
  Hooks,
  DirectRequest,
  PublishRequest,
  Session,
  SubscribeRequest,
} from "./hooks.ts";
export { Hub } from "./hub.ts";
export type { HistoryRecord, HubOptions, HubStatus, PublicationRecord } from "./hub-types.ts";
export { defaultLimits, type Limits } from "./limits.ts";
export { memoryBackplane, MemoryBackplane, MemoryBroker } from "./memory-backplane.ts";
export { MemoryLog } from "./memory-log.ts";
export type { PresenceSummary } from "./presence/presence.ts";
export { SharedMessages, type HubConnection, type Transport } from "./transport.ts";
export type { PreparedPublication } from "./publish.ts";
