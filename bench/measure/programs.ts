import { execFileSync } from "node:child_process";
import {
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

const here = (path: string): string => fileURLToPath(new URL(path, import.meta.url));

/** Where the programs of all measured servers are, with a final slash. */
export const folder: string = here("../peers/");
const packages = here("../../packages/");

/** Where Bun is installed, if it is. Its package brings one binary per platform; its install script only links it, and may be blocked. */
export function bunBinary(): string | undefined {
  const names = [`bun-${process.platform}-${process.arch}`, `bun-${process.platform}-${process.arch}-baseline`];
  return names
    .map((name) => `${folder}node_modules/@oven/${name}/bin/bun`.replace("-arm64", "-aarch64"))
    .find((path) => existsSync(path));
}

/**
 * Installs the peers as their lockfile has them, unless that is done already.
 * @returns what went wrong; undefined when nothing did.
 */
export function install(): string | undefined {
  const lock = `${folder}package-lock.json`;
  const stamp = `${folder}node_modules/.installed`;
  const wanted = readFileSync(lock, "utf8");
  if (existsSync(stamp) && readFileSync(stamp, "utf8") === wanted) return undefined;
  try {
    execFileSync("npm", ["ci", "--ignore-scripts"], {
      cwd: folder,
      stdio: ["ignore", "ignore", "pipe"],
      timeout: 180_000,
    });
    writeFileSync(stamp, wanted);
    return undefined;
  } catch (error) {
    return `npm ci in bench/peers: ${error instanceof Error ? error.message : String(error)}`;
  }
}

/** The tsx loader by its path, so that it works from any working directory. */
export const loader: string = createRequire(import.meta.url).resolve("tsx");

/** A program and its arguments. */
interface Program {
  readonly file: string;
  readonly args: string[];
}

/** A server on Node; with `ZURUF_BENCH_PROFILE=folder` each leaves a CPU profile there. @param order what it is asked to be, as JSON. */
export function nodeProgram(path: string, order: string): Program {
  const profiles = process.env["ZURUF_BENCH_PROFILE"];
  const profiling = profiles === undefined ? [] : ["--cpu-prof", `--cpu-prof-dir=${profiles}`];
  return { file: process.execPath, args: ["--expose-gc", ...profiling, "--import", loader, path, order] };
}

/** @param cheap whether it may run on Bun, whose sockets are cheaper, so that it keeps up with the server. */
export function generatorProgram(path: string, cheap: boolean): Program {
  const bun = cheap ? bunBinary() : undefined;
  if (bun !== undefined && process.env["ZURUF_BENCH_GENERATOR"] !== "node") return { file: bun, args: [path] };
  return { file: process.execPath, args: ["--import", loader, path] };
}

let snapshot: string | undefined;

/** A copy of our build, made once: a build that happens during a measurement does not get into it. */
function snapshotOfOurs(): string {
  if (snapshot !== undefined) return snapshot;
  const made = mkdtempSync(join(tmpdir(), "zuruf-bench-"));
  process.once("exit", () => rmSync(made, { recursive: true, force: true }));
  // Ours are found first, and the packages that they need outside.
  symlinkSync(here("../../node_modules"), join(made, "node_modules"));
  const inner = join(made, "ours");
  const backplanes = readdirSync(`${packages}backplanes`).map((name) => `backplanes/${name}`);
  for (const name of [...readdirSync(packages), ...backplanes]) {
    const from = `${packages}${name}`;
    if (!existsSync(`${from}/dist`)) continue;
    const { name: full } = JSON.parse(readFileSync(`${from}/package.json`, "utf8")) as { name: string };
    const to = join(inner, "node_modules", full);
    cpSync(`${from}/dist`, join(to, "dist"), { recursive: true });
    cpSync(`${from}/package.json`, join(to, "package.json"));
  }
  mkdirSync(inner, { recursive: true });
  for (const file of readdirSync(folder))
    if (/\.ts$|^package\.json$/.test(file)) cpSync(folder + file, join(inner, file));
  snapshot = inner;
  return inner;
}

/** A program of `bench/peers/` that runs on the copy of our build. */
export function ourProgram(file: string, order: string): Program {
  return nodeProgram(join(snapshotOfOurs(), file), order);
}

export function isBuilt(): boolean {
  return existsSync(`${packages}server/dist/index.js`);
}

/** When our own build was made, so that a result says what it measured. */
export function builtAt(): string {
  return statSync(`${packages}websocket/dist/.tsbuildinfo`).mtime.toISOString();
}
