/**
 * `npm run fuzz -- [--seed N] [--seconds S] [--case M]`: random and mutated input for whatever reads what a peer sends.
 *
 * Each case has its own seed, so `--seed N --case M` runs one of them again, alone. Nothing may throw, a stream must mean the same
 * however it is cut, memory must follow what has arrived, and `ws` must see the same events where it follows the RFC.
 */
import { parseArgs } from "node:util";

import { live } from "./fuzz/live.ts";
import { one } from "./fuzz/one.ts";
import { Random } from "./fuzz/random.ts";

interface Wanted {
  readonly seed: number;
  readonly seconds: number;
  /** This one alone. */
  readonly number: number | undefined;
}

/** @throws TypeError that says what is wrong with an argument. */
function wanted(): Wanted {
  const { values } = parseArgs({
    options: { seed: { type: "string" }, seconds: { type: "string", default: "60" }, case: { type: "string" } },
  });
  const seed = Number(values.seed ?? Math.floor(Math.random() * 2 ** 31));
  const number = values.case === undefined ? undefined : Number(values.case);
  const seconds = Number(values.seconds);
  if (!Number.isInteger(seed) || !Number.isInteger(number ?? 0) || !(seconds > 0))
    throw new TypeError("--seed and --case need an integer, --seconds a number above 0");
  return { seed, seconds, number };
}

async function fuzz({ seed, seconds, number: only }: Wanted): Promise<number> {
  const report = (number: number, finding: string): void =>
    void process.stdout.write(`FOUND with --seed ${seed} --case ${number}\n${finding}\n`);
  if (only !== undefined) {
    const finding = one(seed, only);
    if (finding === undefined) process.stdout.write("nothing found\n");
    else report(only, finding);
    return finding === undefined ? 0 : 1;
  }
  process.stdout.write(`seed ${seed}, ${seconds} s\n`);
  // A quarter of the time goes to real sockets.
  const until = performance.now() + seconds * 750;
  let number = 0;
  let found = 0;
  while (performance.now() < until && found < 5) {
    const finding = one(seed, number);
    if (finding !== undefined) {
      found++;
      report(number, finding);
    }
    number++;
  }
  const overSockets = await live(new Random(seed), seconds * 250);
  found += overSockets.findings.length;
  for (const finding of overSockets.findings) process.stdout.write(`FOUND over sockets, seed ${seed}: ${finding}\n`);
  const memory = Math.round(process.memoryUsage().rss / 2 ** 20);
  process.stdout.write(
    `${number} cases, ${overSockets.connections} connections, ${found} findings, ${memory} MiB resident\n`,
  );
  return found > 0 ? 1 : 0;
}

let options: Wanted;
try {
  options = wanted();
} catch (error) {
  console.error(`npm run fuzz: ${error instanceof Error ? error.message : String(error)}`);
  process.exit(2);
}
process.exitCode = await fuzz(options);
