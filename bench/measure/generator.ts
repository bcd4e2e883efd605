/** What generators share: each is a process of its own that is given one load and says what came of it. */
import { createInterface } from "node:readline";

/** Tells the bench one thing, and waits until it says to go on. */
export type Pause = (line: unknown) => Promise<void>;

/** Ends a generator that cannot go on; the bench shows what it says. */
export function fail(error: unknown): never {
  process.stderr.write(`${error instanceof Error ? error.stack : String(error)}\n`);
  process.exit(1);
}

/** Does with the load, which comes as a JSON line on stdin, what `generate` says, tells what that resolves to as a JSON line on stdout, and ends the process. */
export async function generator(generate: (load: unknown, pause: Pause) => Promise<unknown>): Promise<void> {
  const answer = (line: unknown): boolean => process.stdout.write(`${JSON.stringify(line)}\n`);
  const lines = createInterface({ input: process.stdin })[Symbol.asyncIterator]();
  const first = await lines.next();
  if (first.done) return;
  const pause: Pause = async (line) => {
    answer(line);
    await lines.next();
  };
  try {
    const found = await generate(JSON.parse(first.value), pause);
    if (found !== undefined) answer(found);
  } catch (error) {
    fail(error);
  }
  process.exit(0);
}
