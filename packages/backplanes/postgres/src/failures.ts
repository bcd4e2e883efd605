import { BackplaneError } from "@zuruf/hub";

/** The five characters of a server's own error (SQLSTATE); undefined when the connection failed. */
export function sqlState(error: unknown): string | undefined {
  if (!(error instanceof Error) || !("code" in error) || !("severity" in error)) return undefined;
  return typeof error.code === "string" && /^[0-9A-Z]{5}$/.test(error.code) ? error.code : undefined;
}

/** The server said that it undid the transaction: nothing of it is stored. Not so when it was shut down meanwhile (57P0x) or a connection failed (08xxx). */
export function isUndone(error: unknown): boolean {
  const state = sqlState(error);
  return state !== undefined && !state.startsWith("08") && !state.startsWith("57P0");
}

/** Two transactions got in each other's way: the same one may succeed now. */
export function isCollision(error: unknown): boolean {
  return ["40001", "40P01"].includes(sqlState(error) ?? "");
}

/** One of the values is at fault (22xxx, 23xxx, 54xxx), not the server: others of the same batch are not. */
export function isValueAtFault(error: unknown): boolean {
  return /^(22|23|54)/.test(sqlState(error) ?? "");
}

export function messageOf(error: unknown): string {
  const inner: unknown = error instanceof AggregateError ? error.errors[0] : error;
  return (inner instanceof Error ? inner.message : String(inner)).replaceAll(/\s+/g, " ");
}

/** One line for an operator, from an error at connecting or at the first statements. */
export function explain(where: string, error: unknown): BackplaneError {
  if (error instanceof BackplaneError) return error;
  const message = messageOf(error);
  const state = sqlState(error) ?? "";
  if (state.startsWith("28"))
    return new BackplaneError(
      "unusable",
      `PostgreSQL at ${where} refuses the user name or password: ${message}`,
      error,
    );
  // The driver says so, not the server.
  if (/^SASL: .*client password/.test(message))
    return new BackplaneError(
      "unusable",
      `PostgreSQL at ${where} asks for a password: put it into the URL, or into PGPASSWORD`,
      error,
    );
  if (state === "3D000")
    return new BackplaneError(
      "unusable",
      `PostgreSQL at ${where}: ${message}: create it, or name another in the URL`,
      error,
    );
  if (state === "42501")
    return new BackplaneError(
      "unusable",
      `PostgreSQL at ${where} denies this user a right: ${message}: grant it, or let a DBA run what schemaSql() of @zuruf/postgres returns`,
      error,
    );
  if (state === "3F000" || state.startsWith("42"))
    return new BackplaneError(
      "unusable",
      `PostgreSQL at ${where} has not Zuruf's schema: ${message}: start with migrate, or run what schemaSql() returns`,
      error,
    );
  return new BackplaneError("unavailable", `PostgreSQL at ${where} cannot be reached: ${message}`, error);
}
