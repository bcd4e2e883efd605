import { NatsBackplane } from "./nats-backplane.ts";
import type { NatsOptions } from "./options.ts";

export type { NatsBackplane } from "./nats-backplane.ts";
export type { NatsHistoryOptions, NatsOptions } from "./options.ts";

/**
 * A backplane on NATS ≥ 2.9: core NATS announces and JetStream keeps the logs. With `history: false` it needs no JetStream and keeps nothing:
 * `compose({ relay: nats(url, { history: false }), store })` gives it another store.
 * Needs the package `@nats-io/transport-node`. Publications are at most as large as the server's `max_payload` (1 MB by default), with 1 KB of it for headers.
 *
 * URLs: `nats://[user:password@|token@]host[:4222],host…`, `tls://…`.
 * @throws `BackplaneError` `unusable` when the URL or an option cannot be read. Nothing is connected before `start`.
 */
export function nats(url: string, options: NatsOptions = {}): NatsBackplane {
  return new NatsBackplane(url, options);
}
