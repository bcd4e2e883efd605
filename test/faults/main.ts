/**
 * `npm run test:faults [-- --backplane redis-aof,postgres] [--fault kill,rolling] [--rounds N] [--dry]`: every fault on every backplane, with real
 * processes, and then N restarts of each broker (default 50, 0: none) in search of leaks. Prints what was broken; writes the table into
 * docs/reliability.md unless `--dry`. Exit code 1 when a promise was broken.
 */
import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { installMissing } from "../services/programs.ts";
import { brokerKinds, type BrokerName } from "./brokers.ts";
import { runCell, type Result } from "./cell.ts";
import { faults, type FaultName } from "./faults.ts";
import { lookForLeaks } from "./leaks.ts";
import { header, rowOf, withResults } from "./table.ts";

const file = join(import.meta.dirname, "../../docs/reliability.md");

function chosen<Name extends string>(what: string, given: string | undefined, all: readonly Name[]): readonly Name[] {
  if (given === undefined) return all;
  return given.split(",").map((word) => {
    const name = all.find((known) => known === word);
    if (name === undefined) throw new Error(`--${what} ${word}: known are ${all.join(", ")}`);
    return name;
  });
}

/** What clients saw comes first, and what the store then said about it last: some of both. */
function report(broken: readonly string[]): void {
  const hidden = broken.length - 20;
  const shown = hidden > 0 ? [...broken.slice(0, 10), `… ${hidden} more …`, ...broken.slice(-10)] : broken;
  for (const line of shown) console.log(`    ${line}`);
}

async function main(): Promise<boolean> {
  const { values } = parseArgs({
    options: {
      backplane: { type: "string" },
      fault: { type: "string" },
      rounds: { type: "string", default: "50" },
      dry: { type: "boolean", default: false },
    },
  });
  const backplanes = chosen("backplane", values.backplane, Object.keys(brokerKinds) as BrokerName[]);
  const wanted = values.fault === "none" ? [] : chosen("fault", values.fault, Object.keys(faults) as FaultName[]);
  const rounds = Number(values.rounds);
  if (!Number.isSafeInteger(rounds) || rounds < 0) throw new Error(`--rounds ${values.rounds}: expected 0 or more`);
  await installMissing([...new Set(backplanes.map((name) => brokerKinds[name].program))]);
  const results: Result[] = [];
  let good = true;
  if (wanted.length > 0) console.log(header);
  for (const backplane of backplanes) {
    for (const fault of wanted) {
      const result = await runCell(backplane, fault);
      results.push(result);
      console.log(rowOf(result));
      report(result.broken);
      good &&= result.broken.length === 0;
    }
    if (rounds === 0) continue;
    const leaks = await lookForLeaks(backplane, rounds);
    console.log(`${rounds} restarts of ${backplane}: ${leaks.summary}`);
    report(leaks.broken);
    good &&= leaks.broken.length === 0;
  }
  if (results.length > 0 && !values.dry) await writeFile(file, withResults(await readFile(file, "utf8"), results));
  return good;
}

try {
  process.exitCode = (await main()) ? 0 : 1;
} catch (error) {
  console.error(`test:faults: ${error instanceof Error ? error.message : String(error)}`);
  process.exitCode = 1;
}
