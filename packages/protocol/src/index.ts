export { binaryCodec } from "./binary-codec.ts";
export { CloseCode, whenToReturn } from "./close-codes.ts";
export { systemClock, type Clock, type Timer } from "./clock.ts";
export { maxDepth, PacketError, type Codec } from "./codec.ts";
export { errorTable, retryableErrors, ZurufError, type ErrorCode, type WireError } from "./errors.ts";
export { jsonCodec } from "./json-codec.ts";
export { isChannelName, maxChannelBytes, maxEpochBytes, maxKeyBytes, maxNameBytes, utf8Length } from "./names.ts";
export type {
  Delivery,
  Format,
  HistoryItem,
  LossReason,
  Member,
  MemberConnection,
  Packet,
  PacketOf,
  PacketType,
  Payload,
  PublicationInfo,
  Receipt,
  WirePosition,
} from "./packets.ts";
export { payloadLength, payloadValue, toPayload } from "./payload.ts";
export type { CallMap, CallName, ChannelName, DataIn, DataOf, DataOut } from "./typed.ts";
