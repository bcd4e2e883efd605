import type { Draft, Entry } from "../entry.ts";
import type { Database, Row } from "./database.ts";

/** The guestbook's entries in PostgreSQL. */
export interface EntryStore {
  /** Stores an entry. `key` makes it safe to repeat: a second call with the same key returns the first entry unchanged. */
  add(draft: Draft, key: string | undefined): Promise<Entry>;
  /** The newest `limit` entries with ids below `before` (absent: of all), newest first. */
  list(range: { readonly before?: number | undefined; readonly limit: number }): Promise<Entry[]>;
}

// int8 and timestamptz are read differently by different drivers, float8 by all alike (exact up to 2^53).
const columns = "id::float8 as id, name, message, floor(extract(epoch from time) * 1000)::float8 as time";

export function entryStore({ query }: Database): EntryStore {
  return {
    async add({ name, message }, key) {
      const rows = await query(
        // An update that changes nothing, because `do nothing` would not return the row that is there.
        `insert into guestbook_entries (name, message, key) values ($1, $2, $3)
         on conflict (key) do update set key = excluded.key returning ${columns}`,
        [name, message, key ?? null],
      );
      const [row] = rows;
      if (row === undefined) throw new Error("the insert returned no row");
      return entryOf(row);
    },
    async list({ before, limit }) {
      const rows = await query(
        `select ${columns} from guestbook_entries
         where guestbook_entries.id < coalesce($1::bigint, 9223372036854775807)
         order by guestbook_entries.id desc limit $2`,
        [before ?? null, limit],
      );
      return rows.map(entryOf);
    },
  };
}

function entryOf(row: Row): Entry {
  const { id, name, message, time } = row as Record<keyof Entry, unknown>;
  return { id: Number(id), name: String(name), message: String(message), time: Number(time) };
}
