import { NatsBackplane } from "./nats-backplane.ts";
import type { NatsOptions } from "./options.ts";

export type { NatsBackplane } from "./nats-backplane.ts";
export type { NatsOptions } from "./options.ts";

/**
 * A backplane on core NATS ≥ 2.9 that announces and keeps no history: `compose({ relay: nats(url), store })` gives it a store.
 * Needs the package `@nats-io/transport-node`. Publications are at most as large as the server's `max_payload` (1 MB by default).
 *
 * URLs: `nats://[user:password@]host[:4222],host…`, `tls://…`.
 * @throws `BackplaneError` `unusable` when the URL or an option cannot be read. Nothing is connected before `start`.
 */
export function nats(url: string, options: NatsOptions = {}): NatsBackplane {
  return new NatsBackplane(url, options);
}
