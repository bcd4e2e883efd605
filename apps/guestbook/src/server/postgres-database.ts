import { Pool } from "pg";
import type { Database } from "./database.ts";
import { GuestbookError, reasonOf } from "./errors.ts";

/** Where the database is, without its password. */
function placeOf(url: string): string {
  try {
    const { host, hostname, pathname } = new URL(url);
    return `${host === "" ? hostname || "the local socket" : host}${pathname}`;
  } catch {
    return "the address in DATABASE_URL";
  }
}

/**
 * Opens a pool of connections to a PostgreSQL server (≥ 13).
 * Rejects with `badDatabaseUrl` for what is no such address, with `databaseUnreachable` when it does not answer within 5 s, or refuses the user, password or database.
 */
export async function openPostgres(url: string, warn: (message: string) => void): Promise<Database> {
  // What `pg` would silently read as something else: a text without a scheme as the name of a host, another scheme not at all.
  if (!/^postgres(ql)?:\/\//.test(url))
    throw new GuestbookError(
      "badDatabaseUrl",
      "DATABASE_URL is not the address of a PostgreSQL database: write it as postgres://USER:PASSWORD@HOST:5432/DATABASE, or unset it to use the embedded database.",
    );
  let pool: Pool;
  try {
    pool = new Pool({
      connectionString: url,
      application_name: "zuruf-guestbook",
      max: 10,
      connectionTimeoutMillis: 5000,
      query_timeout: 10_000,
      keepAlive: true,
    });
  } catch (error) {
    throw unreachable(url, error);
  }
  // An idle connection that breaks is replaced by the pool; without a listener it would end the process.
  pool.on("error", (error) => warn(`a PostgreSQL connection broke: ${reasonOf(error)}`));
  try {
    await pool.query("select 1");
  } catch (error) {
    await pool.end();
    throw unreachable(url, error);
  }
  return {
    query: async (sql, parameters = []) => (await pool.query(sql, [...parameters])).rows,
    async transaction(work) {
      const client = await pool.connect();
      let broken = false;
      try {
        await client.query("begin");
        const result = await work(async (sql, parameters = []) => (await client.query(sql, [...parameters])).rows);
        await client.query("commit");
        return result;
      } catch (error) {
        // A connection that cannot even roll back is thrown away, not returned to the pool.
        await client.query("rollback").catch(() => (broken = true));
        throw error;
      } finally {
        client.release(broken);
      }
    },
    close: () => pool.end(),
  };
}

function unreachable(url: string, error: unknown): GuestbookError {
  return new GuestbookError(
    "databaseUnreachable",
    `PostgreSQL at ${placeOf(url)} cannot be used (${reasonOf(error)}): check DATABASE_URL, or unset it to use the embedded database.`,
    error,
  );
}
