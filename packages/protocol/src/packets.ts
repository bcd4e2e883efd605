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
 * Kept unparsed, so that forwarding costs nothing.
 */
export type Payload =
  | { readonly format: "json"; readonly text: string }
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
  | { type: "subscribe"; id: number; channel: string; position?: WirePosition; echo?: boolean; presence?: boolean }
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
  | { type: "publish"; id: number; channel: string; key?: string; payload: Payload }
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
  | { type: "ping"; id?: number }
  | { type: "pong"; id: number }
  | { type: "msg"; channel: string; offset: number; info?: PublicationInfo; payload: Payload }
  | { type: "position"; channel: string; position: WirePosition }
  | { type: "restarted"; channel: string; position: WirePosition; reason: LossReason }
  | { type: "ended"; channel: string; error: WireError }
  | { type: "error"; id: number; error: WireError };
