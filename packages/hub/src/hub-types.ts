import type { Clock, LossReason, PublicationInfo } from "@zuruf/protocol";
import type { Backplane, InstanceId, Position } from "./backplane.ts";
import type { ChannelOptions } from "./channel-options.ts";
import type { Random } from "./client-id.ts";
import type { Log } from "./errors.ts";
import type { Access } from "./hooks.ts";
import type { Limits } from "./limits.ts";

export interface HubOptions {
  readonly backplane: Backplane;
  /** This process's name, unique among those that share the backplane. */
  readonly instance: InstanceId;
  readonly clock: Clock;
  /** A CSPRNG: client ids and their secrets come from it. */
  readonly random: Random;
  /** By pattern: a name, or a prefix with `*` at its end; the exact name wins, then the longest prefix. */
  readonly channels?: Readonly<Record<string, ChannelOptions>>;
  /** Who may send direct messages where no `onDirect` hook decides. Default "user". */
  readonly direct?: Access;
  readonly limits?: Partial<Limits>;
  /** Default: nothing is written. */
  readonly log?: Log;
}

export interface HubStatus {
  readonly instance: InstanceId;
  readonly connections: number;
  readonly sessions: number;
  readonly channels: number;
  readonly backplane: "up" | "down";
  /** When the backplane came up or went down, ms since 1970. */
  readonly since: number;
  /** Why it is down. */
  readonly reason?: string;
}

/** A publication as the application reads it. */
export interface PublicationRecord<Data = unknown> extends PublicationInfo {
  readonly offset: number;
  /** The JSON value, or a `Uint8Array`. */
  readonly data: Data;
}
export interface HistoryRecord<Data = unknown> {
  /** In offset order. */
  readonly publications: readonly PublicationRecord<Data>[];
  /** The channel's head. */
  readonly position: Position;
  readonly complete: boolean;
  readonly reason?: LossReason;
}
