/**
 * Prints what the SDK weighs in a page, minified and gzipped, and fails where it weighs more than its budget.
 * Run after the build: `npx tsx packages/client/size.ts`; part of `npm run check`.
 */
import { gzipSync } from "node:zlib";
import { resolve } from "node:path";
import { build } from "esbuild";

const budgets = [
  { what: "core (@zuruf/client/core)", entry: "dist/core.js", bytes: 8_000 },
  { what: "all (@zuruf/client)", entry: "dist/index.js", bytes: 12_000 },
];

for (const { what, entry, bytes } of budgets) {
  const { outputFiles } = await build({
    entryPoints: [resolve(import.meta.dirname, entry)],
    bundle: true,
    minify: true,
    format: "esm",
    platform: "browser",
    write: false,
  });
  const size = gzipSync(outputFiles[0]?.contents ?? "", { level: 9 }).length;
  console.log(`${what}: ${size} bytes of ${bytes}`);
  if (size > bytes) process.exitCode = 1;
}
