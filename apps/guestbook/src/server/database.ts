/** A row as PostgreSQL returns it. */
export type Row = Record<string, unknown>;

/** Runs one SQL statement with `$1`-style parameters. */
export type Query = (sql: string, parameters?: readonly unknown[]) => Promise<readonly Row[]>;

/** The little that the guestbook needs of PostgreSQL, embedded or not: both run the same SQL. */
export interface Database {
  readonly query: Query;
  /** All statements of `work` on one connection; committed when it resolves, rolled back when it rejects. */
  transaction<Result>(work: (query: Query) => Promise<Result>): Promise<Result>;
  /** Safe to call once nothing uses the database any more. */
  close(): Promise<void>;
}
