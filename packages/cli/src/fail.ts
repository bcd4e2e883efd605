import { oneLine } from "@zuruf/server";

/** Ends the program: one line on stderr, exit code 1. @param trace prints where it happened as well. */
export function fail(error: unknown, trace = false): never {
  const details = trace && error instanceof Error ? `\n${error.stack ?? ""}` : "";
  process.stderr.write(`zuruf: ${oneLine(error)}${details}\n`);
  process.exit(1);
}
