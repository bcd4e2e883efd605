import { ZurufError, type WireError } from "@zuruf/protocol";
import { BackplaneError } from "./backplane.ts";

/** Writes a line of the hub's log. The hub never writes anywhere itself. */
export type Log = (
  level: "debug" | "info" | "warn" | "error",
  message: string,
  fields?: Readonly<Record<string, unknown>>,
) => void;

/** What a client is told of any error: a `ZurufError` as it is, a backplane's by its code, everything else as `internal` (and logged, because its text may hold secrets). */
export function toWireError(error: unknown, log: Log, during: string): WireError {
  const known = toZurufError(error);
  if (known.code === "internal") log("error", `${during} failed`, { error: describe(error) });
  return [known.code, known.message, known.retryable, known.retryAfter];
}

export function toZurufError(error: unknown): ZurufError {
  if (error instanceof ZurufError) return error;
  if (error instanceof BackplaneError) {
    if (error.code === "notStored")
      return new ZurufError("notStored", "the publication was not stored", { cause: error });
    if (error.code === "unknown")
      return new ZurufError("unknown", "whether it happened is not known: retry with the same key", { cause: error });
    const why =
      error.code === "closed" ? "this instance has not started, or is closed" : "the backplane cannot be reached now";
    return new ZurufError("unavailable", why, { cause: error });
  }
  return new ZurufError("internal", "the server failed", { cause: error });
}

/** One line about any thrown value, with where it came from. */
export function describe(error: unknown): string {
  return error instanceof Error ? (error.stack ?? error.message) : String(error);
}
