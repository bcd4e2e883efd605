import type { Backplane } from "@zuruf/hub";
import type { RedisOptions } from "./options.ts";
import { RedisBackplane } from "./redis-backplane.ts";

export type { RedisOptions } from "./options.ts";

/**
 * A backplane on Redis ≥ 7.0 or Valkey ≥ 7.2: one server, a primary behind Sentinels, or a cluster. Needs the package `@redis/client`.
 *
 * URLs: `redis://[user[:password]@]host[:6379][/database]`, `redis+cluster://h1,h2`, `redis+sentinel://s1,s2/primary-name`; `rediss…` with TLS.
 * @throws `BackplaneError` `unusable` when the URL or an option cannot be read. Nothing is connected before `start`.
 */
export function redis(url: string, options: RedisOptions = {}): Backplane {
  return new RedisBackplane(url, options);
}
