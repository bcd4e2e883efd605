import { BackplaneError } from "@zuruf/hub";

export interface PostgresOptions {
  /** The schema that holds Zuruf's tables and functions; services that share a database need different ones. Default `zuruf`; letters, digits and `_`, at most 32. */
  readonly schema?: string;
  /** Creates and migrates the schema at start; default true. False: a DBA runs what `schemaSql()` prints. */
  readonly migrate?: boolean;
  /** Milliseconds until a call that PostgreSQL did not answer rejects; default 5,000, at least 100. */
  readonly deadline?: number;
  /** Milliseconds for which idempotency keys are kept; default and least 300,000. */
  readonly keyWindow?: number;
}

export interface Settings {
  readonly url: string;
  readonly schema: string;
  readonly migrate: boolean;
  readonly deadline: number;
  readonly keyWindow: number;
  /** `host:port/database`, for messages: never the password. */
  readonly where: string;
}

/** Throws `BackplaneError` `unusable` with one line when the URL or an option cannot be read. */
export function readSettings(url: string, options: PostgresOptions): Settings {
  const { schema = "zuruf", migrate = true, deadline = 5000, keyWindow = 300_000 } = options;
  if (!/^[a-z_][a-z0-9_]{0,31}$/.test(schema))
    throw new BackplaneError(
      "unusable",
      "the PostgreSQL option schema must be 1 to 32 of a-z, 0-9 and _, not starting with a digit",
    );
  if (!(deadline >= 100))
    throw new BackplaneError("unusable", "the PostgreSQL option deadline must be at least 100 milliseconds");
  if (!(keyWindow >= 300_000))
    throw new BackplaneError("unusable", "the PostgreSQL option keyWindow must be at least 300000 milliseconds");
  if (!URL.canParse(url) || !/^postgres(ql)?:$/.test(new URL(url).protocol))
    throw new BackplaneError(
      "unusable",
      "the PostgreSQL URL must look like postgres://user:password@host:5432/database",
    );
  const { host, pathname } = new URL(url);
  return { url, schema, migrate, deadline, keyWindow, where: `${host === "" ? "localhost" : host}${pathname}` };
}
