/** A signal this soon after the first is the same one: npm hands on a Ctrl+C that the terminal has sent already. In milliseconds. */
const echo = 500;

const numbers = { SIGINT: 2, SIGTERM: 15 } as const;

/** Stops gracefully on the first SIGINT or SIGTERM, then exits with 0; a second one exits at once, with 128 and the signal's number. */
export function stopOnSignals(stop: () => Promise<void>): void {
  let first: number | undefined;
  const onSignal = (signal: keyof typeof numbers): void => {
    if (first === undefined) {
      first = performance.now();
      process.stderr.write("zuruf: stopping; once more to stop at once\n");
      stop().then(
        () => process.exit(0),
        (error: unknown) => {
          process.stderr.write(`zuruf: stopped badly: ${error instanceof Error ? error.message : String(error)}\n`);
          process.exit(1);
        },
      );
    } else if (performance.now() - first > echo) {
      process.exit(128 + numbers[signal]);
    }
  };
  process.on("SIGINT", onSignal);
  process.on("SIGTERM", onSignal);
}
