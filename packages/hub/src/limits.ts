/** What one client, or one process, may use up. Every number can be set; docs/hub.md lists them with what happens beyond. */
export interface Limits {
  /** Milliseconds from accept to a valid `connect`; then closed with 4402. */
  readonly connectTimeout: number;
  /** Milliseconds between signs of life, unless the client asks for another within min and max. */
  readonly heartbeat: number;
  readonly heartbeatMin: number;
  readonly heartbeatMax: number;
  /** Bytes waiting for one connection; beyond it the connection is closed with 4700. */
  readonly queueBytes: number;
  /** Subscriptions of one connection. */
  readonly subscriptions: number;
  /** Requests of one connection that wait for their answer. */
  readonly requests: number;
  /** Packets per second of one connection, on average; 0: no limit. */
  readonly packetsPerSecond: number;
  /** Packets that one connection may send at once after being quiet. Ten times as many may be refused, and ten times `packetsPerSecond`; then closed with 4403. */
  readonly packetBurst: number;
  /** Milliseconds that a hook, an access function or `validate` may take; then the request is answered with `timeout`. 0: no limit. */
  readonly hookTimeout: number;
  /** Bytes of one publication's, direct message's or call's data, where a channel does not say otherwise. */
  readonly dataBytes: number;
  /** Bytes of what a connection says about itself in presence, as JSON. */
  readonly infoBytes: number;
  /** Publications in one answer to `history`. */
  readonly historyPage: number;
  /** Unreadable packets of one connection; then closed with 4000. */
  readonly badPackets: number;
  /** Direct messages and calls of the server to one connection that wait for its answer. */
  readonly pendingPushes: number;
  /** Members in one `presence` answer or snapshot; a channel with more gives counts and this many. */
  readonly presenceMembers: number;
  /** Connections of this instance; 0: no limit. Beyond it: closed with 4401. */
  readonly connections: number;
}

export const defaultLimits: Limits = {
  connectTimeout: 10_000,
  heartbeat: 25_000,
  heartbeatMin: 1000,
  heartbeatMax: 120_000,
  queueBytes: 1_048_576,
  subscriptions: 1000,
  requests: 256,
  packetsPerSecond: 200,
  packetBurst: 1000,
  hookTimeout: 10_000,
  dataBytes: 65_536,
  infoBytes: 1024,
  historyPage: 1000,
  badPackets: 10,
  pendingPushes: 256,
  presenceMembers: 1000,
  connections: 0,
};

/** @throws {TypeError} for an unknown name or a value that is no safe integer ≥ 0. */
export function resolveLimits(given: Partial<Limits> = {}): Limits {
  for (const [name, value] of Object.entries(given)) {
    if (!Object.hasOwn(defaultLimits, name))
      throw new TypeError(`limits.${name} is unknown; known are ${Object.keys(defaultLimits).join(", ")}`);
    if (!Number.isSafeInteger(value) || value < 0) throw new TypeError(`limits.${name} must be an integer ≥ 0`);
  }
  return { ...defaultLimits, ...given };
}
