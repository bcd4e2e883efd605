import type { WireError } from "./errors.ts";

/** A place in a channel's log: an opaque epoch of at most 64 bytes and a safe integer ≥ 0. */
export type WirePosition = readonly [epoch: string, offset: number];
export type Format = "json" | "binary";
export type Delivery = "stream" | "latest" | "volatile";
/** Why a subscription could not continue from a position. */
export type LossReason = "retention" | "rollback" | "epoch";
export type Receipt = "delivered" | "offline" | "unknown";

/**
 * Data as it travels: with `format` "json" the original JSON text (validated once where it entered), with "binary" the bytes.
 * Kept as text, so that forwarding costs nothing; `value` is there when the text was parsed on the way in (`payloadValue` reads either).
 */
export type Payload =
  | { readonly format: "json"; readonly text: string; readonly value?: unknown }
  | { readonly format: "binary"; readonly bytes: Uint8Array };

/** Who published, when (ms since 1970) and with which key. */
export interface PublicationInfo {
  readonly client?: string;
  readonly user?: string;
  readonly time: number;
  readonly key?: string;
}
export interface HistoryItem {
  readonly offset: number;
  readonly info: PublicationInfo;
  readonly payload: Payload;
}

/** One connection of a presence member: the client's id and what it says about itself. */
export type MemberConnection = readonly [client: string, info?: unknown];
/** A presence member (`user:<id>`, or a client id when it has no user) with all its connections, oldest first; none: it left. */
export type Member = readonly [member: string, connections: readonly MemberConnection[]];

/** Every packet, decoded. `type` is the packet's word; docs/protocol.md says which side sends which. */
export type Packet =
  | {
      type: "connect";
      id: number;
      token?: string;
      resume?: readonly [client: string, secret: string];
      heartbeat?: number;
    }
  | {
      type: "connected";
      id: number;
      client: string;
      secret: string;
      resumed: boolean;
      instance: string;
      user?: string;
      /** Milliseconds until the session expires; absent: never. */
      expires?: number;
      heartbeat: number;
      limits: Readonly<Record<string, number>>;
    }
  | { type: "refresh"; id: number; token: string }
  | { type: "refreshed"; id: number; expires?: number }
  | {
      type: "subscribe";
      id: number;
      channel: string;
      position?: WirePosition;
      echo?: boolean;
      presence?: boolean;
      /** What this connection says about itself to those who watch the channel's presence. */
      info?: unknown;
    }
  | {
      type: "subscribed";
      id: number;
      position?: WirePosition;
      recovered?: boolean;
      reason?: LossReason;
      delivery: Delivery;
    }
  | { type: "unsubscribe"; id: number; channel: string }
  | { type: "unsubscribed"; id: number }
  | { type: "publish"; id: number; channel: string; key?: string; again?: boolean; payload: Payload }
  | { type: "published"; id: number; position?: WirePosition }
  | { type: "history"; id: number; channel: string; after?: WirePosition; before?: WirePosition; limit: number }
  | {
      type: "historyPage";
      id: number;
      position: WirePosition;
      complete: boolean;
      reason?: LossReason;
      items: readonly HistoryItem[];
    }
  | { type: "presence"; id: number; channel: string; count?: boolean }
  | {
      type: "presencePage";
      id: number;
      /** How many members, and how many connections they have together. */
      members: number;
      connections: number;
      /** An instance that had members has not been heard of: the list may be old. */
      stale?: boolean;
      list: readonly Member[];
    }
  | { type: "send"; id: number; to: string; timeout?: number; payload: Payload }
  | { type: "receipt"; id: number; receipt: Receipt }
  | { type: "call"; id: number; method: string; timeout?: number; payload: Payload }
  | { type: "result"; id: number; payload: Payload }
  | { type: "ping"; id?: number }
  | { type: "pong"; id: number }
  | { type: "msg"; channel: string; offset: number; info?: PublicationInfo; payload: Payload }
  | { type: "position"; channel: string; position: WirePosition }
  | { type: "restarted"; channel: string; position: WirePosition; reason: LossReason }
  | { type: "ended"; channel: string; error: WireError }
  | {
      type: "members";
      channel: string;
      /** True: `changes` is everybody, in place of what was known. Absent: each entry replaces that member. */
      snapshot?: boolean;
      stale?: boolean;
      changes: readonly Member[];
    }
  | { type: "direct"; id: number; from?: string; user?: string; time: number; payload: Payload }
  | { type: "received"; id: number }
  | { type: "error"; id: number; error: WireError }
  /** A word this version does not know: ignored, or answered with `badRequest` where it carries an id and a server reads it. */
  | { type: "unknown"; word: string; id?: number };

export type PacketType = Packet["type"];
/** The packet of one type. */
export type PacketOf<T extends PacketType> = Extract<Packet, { type: T }>;
