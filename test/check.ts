/**
 * `npm run check`: everything that needs no server. Types first (everything else reads what they build), then the rest side by side.
 * Prints one line per check with its time; what failed is printed whole. Exit code 1 when anything failed.
 */
import { spawn } from "node:child_process";

interface Check {
  readonly name: string;
  readonly command: string;
}
const checks: readonly (readonly Check[])[] = [
  [{ name: "types", command: "tsc -b" }],
  [
    { name: "lint", command: "oxlint --type-aware --deny-warnings" },
    { name: "format", command: "oxfmt --check" },
    { name: "dead code", command: "knip --no-progress" },
    { name: "architecture", command: "tsx test/architecture.ts" },
    { name: "client size", command: "tsx packages/client/size.ts" },
  ],
];

function run(check: Check): Promise<boolean> {
  const started = performance.now();
  return new Promise((resolve) => {
    const child = spawn(check.command, { shell: true, stdio: ["ignore", "pipe", "pipe"] });
    let output = "";
    const collect = (chunk: Buffer): void => {
      output += chunk.toString();
    };
    child.stdout.on("data", collect);
    child.stderr.on("data", collect);
    child.on("close", (code) => {
      const seconds = ((performance.now() - started) / 1000).toFixed(1);
      console.log(`${code === 0 ? "ok    " : "FAILED"} ${check.name.padEnd(14)} ${seconds.padStart(5)} s`);
      if (code !== 0) console.log(`$ ${check.command}\n${output}`);
      resolve(code === 0);
    });
  });
}

let ok = true;
for (const stage of checks) {
  const results = await Promise.all(stage.map(run));
  ok &&= results.every(Boolean);
  if (!ok) break;
}
process.exitCode = ok ? 0 : 1;
