/** `npm run sim -- --seed N --runs M`: M runs from seed N on (defaults: 1 and 100). Prints each fault with its seed; exit code 1 when there was one. */
import { parseArgs } from "node:util";
import { run } from "./scenario.ts";

const { first, runs } = read();
let failed = 0;
const totals = { delivered: 0, acked: 0, restarts: 0 };
const receipts: Record<string, number> = {};
for (let seed = first; seed < first + runs; seed++) {
  const outcome = await run(seed);
  totals.delivered += outcome.delivered;
  totals.acked += outcome.acked;
  totals.restarts += outcome.restarts;
  for (const [receipt, count] of Object.entries(outcome.receipts)) receipts[receipt] = (receipts[receipt] ?? 0) + count;
  if (outcome.faults.length === 0) continue;
  failed++;
  console.log(`seed ${seed}: ${outcome.faults.length} faults\n  ${outcome.faults.slice(0, 10).join("\n  ")}`);
}
console.log(
  `${runs} runs, ${failed} with faults; ${totals.acked} publications acked, ${totals.delivered} delivered, ${totals.restarts} times recovered: false; direct messages: ${JSON.stringify(receipts)}`,
);
process.exitCode = failed === 0 ? 0 : 1;

function read(): { readonly first: number; readonly runs: number } {
  try {
    const options = { seed: { type: "string", default: "1" }, runs: { type: "string", default: "100" } } as const;
    const { values } = parseArgs({ options });
    const [seed, count] = [Number(values.seed), Number(values.runs)];
    if (!Number.isSafeInteger(seed) || !Number.isSafeInteger(count) || count < 1)
      throw new Error("--seed and --runs take whole numbers, --runs at least 1");
    return { first: seed, runs: count };
  } catch (error) {
    console.error(`sim: ${error instanceof Error ? error.message : String(error)}`);
    process.exit(2);
  }
}
