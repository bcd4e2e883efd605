import { cpSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import type { run } from "./scenario.ts";

/** A place in a package's built code, and what stands there instead. */
export interface Change {
  /** Package and file: `hub/sequencer`. */
  readonly file: string;
  /** Occurs there once. */
  readonly from: string;
  readonly to: string;
}

const root = resolve(import.meta.dirname, "../..");

/** Gives `use` the simulation on packages that were changed in these places: what `mutation.ts` cannot switch off from outside. */
async function withMutant(changes: readonly Change[], use: (mutant: typeof run) => Promise<void>): Promise<void> {
  mkdirSync(join(root, "test-output"), { recursive: true });
  const folder = mkdtempSync(join(root, "test-output/mutant-"));
  try {
    for (const name of ["protocol", "hub", "client"])
      for (const part of ["package.json", "dist"])
        cpSync(join(root, "packages", name, part), join(folder, "node_modules/@zuruf", name, part), {
          recursive: true,
        });
    for (const { file, from, to } of changes) {
      const [name = "", ...path] = file.split("/");
      const built = join(folder, "node_modules/@zuruf", name, "dist", `${path.join("/")}.js`);
      const [before, after, ...more] = readFileSync(built, "utf8").split(from);
      if (before === undefined || after === undefined || more.length > 0)
        throw new Error(`${from} is not found once in ${file}: what is to be switched off is elsewhere now`);
      writeFileSync(built, before + to + after);
    }
    for (const file of readdirSync(import.meta.dirname))
      if (!file.endsWith(".test.ts")) cpSync(join(import.meta.dirname, file), join(folder, "sim", file));
    const scenario = (await import(join(folder, "sim/scenario.ts"))) as { readonly run: typeof run };
    await use(scenario.run);
  } finally {
    rmSync(folder, { recursive: true });
  }
}

/** What the first of these seeds finds that finds a fault, on packages that were changed in these places. */
export async function firstFault(changes: readonly Change[], seeds: number): Promise<readonly string[]> {
  const faults: string[] = [];
  await withMutant(changes, async (run) => {
    for (let seed = 1; seed <= seeds && faults.length === 0; seed++) faults.push(...(await run(seed)).faults);
  });
  return faults;
}
