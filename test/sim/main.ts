/** `npm run sim -- --seed N --runs M`: M runs from seed N on (defaults: 1 and 100). Prints each fault with its seed; exit code 1 when there was one. */
import { parseArgs } from "node:util";
import { run } from "./scenario.ts";

const { values } = parseArgs({
  options: { seed: { type: "string", default: "1" }, runs: { type: "string", default: "100" } },
});
const first = Number(values.seed);
const runs = Number(values.runs);
if (!Number.isSafeInteger(first) || !Number.isSafeInteger(runs) || runs < 1) {
  console.error("--seed and --runs take whole numbers, --runs at least 1");
  process.exit(2);
}
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
