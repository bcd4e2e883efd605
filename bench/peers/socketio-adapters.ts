import { installed } from "./installed.ts";

type CreateAdapter = (...clients: unknown[]) => unknown;
interface RedisClient {
  connect(): Promise<unknown>;
  duplicate(): RedisClient;
}

function adapterFrom(kind: string, clients: unknown[]): unknown {
  return (installed(`@socket.io/${kind}-adapter`) as { createAdapter: CreateAdapter }).createAdapter(...clients);
}

/** The adapter that an order names, connected as its own documentation does it: what `io` takes as its `adapter`. */
export async function adapterOf({ kind, url }: { readonly kind: string; readonly url: string }): Promise<unknown> {
  if (kind === "postgres") {
    const { Pool } = installed("pg") as { Pool: new (options: object) => { query(sql: string): Promise<unknown> } };
    const pool = new Pool({ connectionString: url });
    await pool.query(
      // Both instances start at once, and `if not exists` alone lets both begin to create it.
      "BEGIN; SELECT pg_advisory_xact_lock(hashtext('socket_io_attachments')); CREATE TABLE IF NOT EXISTS socket_io_attachments (id bigserial UNIQUE, created_at timestamptz DEFAULT NOW(), payload bytea); COMMIT",
    );
    return adapterFrom(kind, [pool]);
  }
  const redis = installed("redis") as { createClient(options: object): RedisClient };
  const client = redis.createClient({ url });
  // Publishing and subscribing need a connection each; the streams adapter makes do with one.
  const clients = kind === "redis" ? [client, client.duplicate()] : [client];
  await Promise.all(clients.map((one) => one.connect()));
  return adapterFrom(kind, clients);
}
