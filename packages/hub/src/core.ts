import { ZurufError, type Clock } from "@zuruf/protocol";
import type { Backplane, InstanceId } from "./backplane.ts";
import type { ResolvedOptions } from "./channel-options.ts";
import type { Channels } from "./channels.ts";
import type { Random } from "./client-id.ts";
import type { Connections } from "./connections.ts";
import type { Calls } from "./calls.ts";
import type { Control } from "./control.ts";
import type { Counters } from "./counters.ts";
import type { Log } from "./errors.ts";
import type { Directs } from "./direct.ts";
import type { Access, Hooks } from "./hooks.ts";
import type { Limits } from "./limits.ts";
import type { Patterns } from "./patterns.ts";
import type { Presence } from "./presence/presence.ts";

/** What the parts of one hub share. */
export interface Core {
  readonly instance: InstanceId;
  readonly backplane: Backplane;
  readonly clock: Clock;
  readonly random: Random;
  readonly limits: Limits;
  readonly log: Log;
  readonly hooks: Hooks;
  readonly patterns: Patterns<ResolvedOptions>;
  readonly channels: Channels;
  readonly connections: Connections;
  readonly counters: Counters;
  /** Who may send direct messages, when there is no `onDirect` hook. */
  readonly direct: Access;
  readonly calls: Calls;
  control: Control;
  presence: Presence;
  directs: Directs;
  /** The backplane is up, as far as is known. */
  reachable(): boolean;
  /** Seconds since the hub started: coarse time that costs nothing to read. */
  ticks: number;
}

/** @throws {ZurufError} `notFound` for a channel that no pattern matches. */
export function optionsOf(core: Core, channel: string): ResolvedOptions {
  const options = core.patterns.find(channel);
  if (options === undefined) throw unconfigured(channel);
  return options;
}

export function unconfigured(channel: string): ZurufError {
  return new ZurufError("notFound", `no channel is configured for ${channel}`);
}
