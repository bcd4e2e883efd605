/** `npx tsx conformance/run.ts ws://127.0.0.1:PORT/echo`: the vectors against any server that echoes messages. */
import { parseArgs } from "node:util";

import { liveCases, runCases } from "./live.ts";
import { shake } from "./wire.ts";

const usage = `npx tsx conformance/run.ts URL [options]

  URL             ws:// or wss:// of a WebSocket endpoint that sends each message back
  --only TEXT     only cases whose id or section contains it
  --insecure      accept any certificate
  --http2         over HTTP/2 (RFC 8441) instead of HTTP/1.1
  --timeout MS    for each answer, default 5000
  --all           print what passed, too`;

function target(): { url: URL; only: string; insecure: boolean; http2: boolean; timeout: number; all: boolean } {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: {
      only: { type: "string", default: "" },
      insecure: { type: "boolean", default: false },
      http2: { type: "boolean", default: false },
      timeout: { type: "string", default: "5000" },
      all: { type: "boolean", default: false },
    },
  });
  const [address] = positionals;
  if (address === undefined || !/^wss?:\/\//.test(address)) throw new TypeError("a ws:// or wss:// URL is needed");
  const timeout = Number(values.timeout);
  if (!(timeout > 0)) throw new TypeError("--timeout needs milliseconds above 0");
  return { ...values, url: new URL(address), timeout };
}

async function main(): Promise<number> {
  const { only, all, ...where } = target();
  const cases = liveCases().filter(({ id, section }) => id.includes(only) || section.includes(only));
  // One connection first, so that an address where nobody listens is said once and not by every case.
  (await shake(where)).wire.destroy();
  const results = await runCases(where, cases);
  const width = Math.max(...results.map(({ section }) => section.length));
  for (const { id, section, says, verdict, detail } of results) {
    if (!all && verdict === "passed" && detail === "") continue;
    process.stdout.write(
      `${verdict.padEnd(8)} ${section.padEnd(width)}  ${id}: ${says}${detail && `\n         ${detail}`}\n`,
    );
  }
  const count = (wanted: string): number => results.filter(({ verdict }) => verdict === wanted).length;
  process.stdout.write(`${count("passed")} passed, ${count("failed")} failed, ${count("skipped")} skipped\n`);
  return count("failed") > 0 || results.length === 0 ? 1 : 0;
}

try {
  process.exitCode = await main();
} catch (error) {
  process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n\n${usage}\n`);
  process.exitCode = 2;
}
