import type { PostgresOptions } from "./options.ts";
import { PostgresBackplane } from "./postgres-backplane.ts";

export type { PostgresOptions } from "./options.ts";
export type { PostgresBackplane, TransactionClient } from "./postgres-backplane.ts";
export { schemaSql } from "./schema.ts";

/**
 * A backplane on PostgreSQL ≥ 13. Needs the package `pg`, and four connections of its own per instance, one of which listens:
 * the URL must lead to the server, not to a pooler in transaction mode.
 *
 * @throws `BackplaneError` `unusable` when the URL or an option cannot be read. Nothing is connected before `start`.
 */
export function postgres(url: string, options: PostgresOptions = {}): PostgresBackplane {
  return new PostgresBackplane(url, options);
}
