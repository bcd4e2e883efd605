export { CloseCode, whenToReturn } from "./close-codes.ts";
export type { Clock, Timer } from "./clock.ts";
export { errorTable, ZurufError, type ErrorCode, type WireError } from "./errors.ts";
export type {
  Delivery,
  Format,
  HistoryItem,
  LossReason,
  Packet,
  Payload,
  PublicationInfo,
  Receipt,
  WirePosition,
} from "./packets.ts";
