import { BackplaneError } from "@zuruf/hub";

/** What an error reply of Redis means for the command that got it. Everything else that goes wrong is the connection's. */
export interface Refusal {
  /** `moved`, `ask`, `busy`: the command was not run, and may be sent again: elsewhere, there, or later. `refused`: not run, for good. */
  readonly kind: "moved" | "ask" | "busy" | "unknownScript" | "demoted" | "refused";
  /** With `ask`: the server to go to. */
  readonly address: string;
}

/** Redis runs a command or refuses it, so each of these says that nothing was stored. */
export function readRefusal(error: unknown): Refusal | undefined {
  if (!(error instanceof Error)) return undefined;
  const [code = "", , address = ""] = error.message.split(" ");
  switch (code) {
    case "MOVED":
      return { kind: "moved", address };
    case "ASK":
      return { kind: "ask", address };
    case "NOSCRIPT":
      return { kind: "unknownScript", address: "" };
    case "TRYAGAIN":
    case "CLUSTERDOWN":
    case "LOADING":
    case "MASTERDOWN":
    case "BUSY":
      return { kind: "busy", address: "" };
    case "READONLY":
      return { kind: "demoted", address: "" };
    default:
      // Redis words its refusals in capitals: ERR, OOM, NOPERM, MISCONF, WRONGTYPE, NOREPLICAS, …
      return /^-?[A-Z]{3,}\b/.test(error.message) ? { kind: "refused", address: "" } : undefined;
  }
}

/** The driver had no connection to write the command to. */
export function isUnsent(error: unknown): boolean {
  return error instanceof Error && ["ClientClosedError", "ClientOfflineError"].includes(error.constructor.name);
}

/** One line for an operator, from an error at connecting or at the first commands. */
export function explain(where: string, error: unknown): BackplaneError {
  if (error instanceof BackplaneError) return error;
  const { message, code } = describe(error);
  if (/^(WRONGPASS|NOAUTH)|invalid (username-)?password|AUTH <password> called without/i.test(message))
    return new BackplaneError("unusable", `Redis at ${where} refuses the user name or password: ${message}`, error);
  if (message.startsWith("NOPERM") || message.includes("can't run this command or subcommand"))
    return new BackplaneError(
      "unusable",
      `Redis at ${where} denies this user a right that Zuruf needs: ${message}`,
      error,
    );
  if (message.includes("DB index is out of range"))
    return new BackplaneError("unusable", `Redis at ${where} has no such database: ${message}`, error);
  const reasons: Readonly<Record<string, string>> = {
    ECONNREFUSED: "nothing listens there",
    ENOTFOUND: "its name is not known",
    EAI_AGAIN: "its name cannot be looked up now",
    ETIMEDOUT: "no answer",
    EHOSTUNREACH: "there is no route to it",
    ECONNRESET: "it closed the connection",
  };
  return new BackplaneError("unavailable", `Redis at ${where} cannot be reached: ${reasons[code] ?? message}`, error);
}

function describe(error: unknown): { message: string; code: string } {
  if (!(error instanceof Error)) return { message: String(error), code: "" };
  // A name with several addresses fails with one error per address: the first says enough.
  const first: unknown = error instanceof AggregateError ? error.errors[0] : error;
  const inner = first instanceof Error ? first : error;
  const code = "code" in inner && typeof inner.code === "string" ? inner.code : "";
  return { message: inner.message, code };
}
