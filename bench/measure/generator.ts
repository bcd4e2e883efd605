/** Ends a generator that cannot go on; the bench shows what it says. */
export function fail(error: unknown): never {
  process.stderr.write(`${error instanceof Error ? error.stack : String(error)}\n`);
  process.exit(1);
}

/** Tells the bench one thing, as a JSON line. */
export function answer(line: unknown): void {
  process.stdout.write(`${JSON.stringify(line)}\n`);
}
