/**
 * `npm run test:nodes [-- 22 24 26]`: the tests of all packages on other Node versions, installed from the registry into `.cache/`.
 * Prints one line per version; exit code 1 when one failed.
 */
import { spawnSync } from "node:child_process";
import { existsSync } from "node:fs";
import { delimiter, join, resolve } from "node:path";

const root = resolve(import.meta.dirname, "..");
const versions = process.argv.slice(2);
const wrong = versions.find((version) => !/^\d+$/.test(version));
if (wrong !== undefined) {
  console.error(`npm run test:nodes: "${wrong}" is not a major version of Node, like 24`);
  process.exit(1);
}
const results: string[] = [];

for (const version of versions.length > 0 ? versions : ["22", "24", "26"]) {
  const prefix = join(root, ".cache", `node-${version}`);
  const bin = join(prefix, "node_modules", "node", "bin");
  if (!existsSync(join(bin, "node"))) {
    const installed = spawnSync(
      "npm",
      ["install", "--prefix", prefix, "--no-save", "--ignore-scripts=false", `node@${version}`],
      {
        stdio: ["ignore", "ignore", "inherit"],
        cwd: root,
      },
    );
    if (installed.status !== 0 || !existsSync(join(bin, "node"))) {
      results.push(`node ${version}: could not be installed`);
      process.exitCode = 1;
      continue;
    }
  }
  const env = { ...process.env, PATH: `${bin}${delimiter}${process.env["PATH"] ?? ""}` };
  const name = spawnSync("node", ["--version"], { env, encoding: "utf8" }).stdout.trim();
  const run = spawnSync("node", ["--import", "tsx", "test/run.ts", "packages/", "conformance/"], {
    env,
    cwd: root,
    stdio: "inherit",
  });
  results.push(`node ${name}: ${run.status === 0 ? "passed" : `failed (exit code ${String(run.status)})`}`);
  if (run.status !== 0) process.exitCode = 1;
}
console.log(`\n${results.join("\n")}`);
