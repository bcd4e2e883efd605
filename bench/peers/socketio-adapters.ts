import { installed } from "./installed.ts";

type CreateAdapter = (...clients: unknown[]) => unknown;
interface RedisClient {
  connect(): Promise<unknown>;
  duplicate(): RedisClient;
}

function adapterFrom(kind: string, clients: unknown[]): unknown {
  return installed<{ createAdapter: CreateAdapter }>(`@socket.io/${kind}-adapter`).createAdapter(...clients);
}

/** The adapter that an order names, connected as its own documentation does it: what `io` takes as its `adapter`. */
export async function adapterOf({ kind, url }: { readonly kind: string; readonly url: string }): Promise<unknown> {
  if (kind === "postgres") {
    const { Pool } = installed<{ Pool: new (options: object) => { query(sql: string): Promise<unknown> } }>("pg");
    const pool = new Pool({ connectionString: url });
    await pool.query(
      "CREATE TABLE IF NOT EXISTS socket_io_attachments (id bigserial UNIQUE, created_at timestamptz DEFAULT NOW(), payload bytea)",
    );
    return adapterFrom(kind, [pool]);
  }
  const { createClient } = installed<{ createClient(options: object): RedisClient }>("redis");
  const client = createClient({ url });
  // Publishing and subscribing need a connection each; the streams adapter makes do with one.
  const clients = kind === "redis" ? [client, client.duplicate()] : [client];
  await Promise.all(clients.map((one) => one.connect()));
  return adapterFrom(kind, clients);
}
