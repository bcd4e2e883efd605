import { BackplaneError } from "@zuruf/hub";

/** NATS says so when this user may not publish, or subscribe, there. */
export function isDenied(error: unknown): boolean {
  return error instanceof Error && error.name === "PermissionViolationError";
}

/** One line for an operator. */
export function explain(where: string, error: unknown): BackplaneError {
  if (error instanceof BackplaneError) return error;
  if (error instanceof Error && error.cause instanceof BackplaneError) return error.cause;
  const cause: unknown = error instanceof Error && error.cause instanceof Error ? error.cause : error;
  const message = (cause instanceof Error ? cause.message : String(cause)).replaceAll(/\s+/g, " ");
  const name = cause instanceof Error ? cause.name : "";
  if (name === "AuthorizationError" || /authorization|authentication/i.test(message))
    return new BackplaneError(
      "unusable",
      `NATS at ${where} refuses the user name, password or token: ${message}`,
      error,
    );
  if (isDenied(cause) || /permissions violation/i.test(message))
    return new BackplaneError(
      "unusable",
      `NATS at ${where} denies this user a right that Zuruf needs: ${message}`,
      error,
    );
  if (/does not support 'tls'/.test(message))
    return new BackplaneError("unusable", `NATS at ${where} does not speak TLS: write nats:// for it`, error);
  return new BackplaneError("unavailable", `NATS at ${where} cannot be reached: ${message}`, error);
}
