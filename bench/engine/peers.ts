import { execFileSync } from "node:child_process";
import { cpSync, existsSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

import type { Serving } from "../peers/serving.ts";

/** One server that is measured. */
export interface Peer {
  readonly name: string;
  /** What the table and the chart call it. */
  readonly title: string;
  /** Its program in `bench/peers/`. */
  readonly file: string;
  readonly runtime: "node" | "bun";
  readonly env?: Readonly<Record<string, string>>;
  /** What it cannot do at all. */
  readonly lacks?: "compression" | "context takeover";
}

const here = (path: string): string => fileURLToPath(new URL(path, import.meta.url));
const folder = here("../peers/");

export const peers: readonly Peer[] = [
  { name: "zuruf", title: "Zuruf", file: "zuruf.ts", runtime: "node" },
  {
    name: "zuruf-public",
    title: "Zuruf, no internals",
    file: "zuruf.ts",
    runtime: "node",
    env: { ZURUF_NO_INTERNALS: "1" },
    lacks: "context takeover",
  },
  { name: "ws", title: "ws + bufferutil", file: "ws.ts", runtime: "node" },
  { name: "ws-cork", title: "ws, corked per tick", file: "ws-cork.ts", runtime: "node" },
  { name: "net", title: "raw net (no WebSocket)", file: "net.ts", runtime: "node", lacks: "compression" },
  { name: "bun", title: "Bun", file: "bun.ts", runtime: "bun" },
];

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

/** Why a peer cannot be started here; undefined when it can. */
export function missing(peer: Peer): string | undefined {
  if (peer.runtime === "bun") {
    const bun = bunBinary();
    if (bun === undefined) return "its binary is not installed (bench/peers: npm ci)";
    try {
      execFileSync(bun, ["--version"], { stdio: "ignore", timeout: 10_000 });
    } catch (error) {
      return `its binary does not run here: ${error instanceof Error ? error.message : String(error)}`;
    }
  }
  if (peer.name.startsWith("ws") && !existsSync(`${folder}node_modules/ws`))
    return "not installed (bench/peers: npm ci)";
  if (peer.name.startsWith("zuruf") && !existsSync(here("../../packages/websocket/dist/index.js"))) {
    return "not built (npm run build)";
  }
  return undefined;
}

/** The tsx loader by its path, so that it works from any working directory. */
export const loader: string = createRequire(import.meta.url).resolve("tsx");

let snapshot: string | undefined;

/** A copy of our build, made once: a build that happens during a measurement does not get into it. */
function snapshotOfOurs(): string {
  if (snapshot !== undefined) return snapshot;
  const made = mkdtempSync(join(tmpdir(), "zuruf-bench-"));
  process.once("exit", () => rmSync(made, { recursive: true, force: true }));
  const ours = join(made, "node_modules/@zuruf/websocket");
  cpSync(here("../../packages/websocket/dist"), join(ours, "dist"), { recursive: true });
  cpSync(here("../../packages/websocket/package.json"), join(ours, "package.json"));
  for (const file of ["package.json", "serving.ts", "zuruf.ts"]) cpSync(`${folder}${file}`, join(made, file));
  snapshot = made;
  return made;
}

/** The program and arguments that start a peer. */
export function commandOf(peer: Peer, serving: Serving): { file: string; args: string[] } {
  const order = JSON.stringify(serving);
  if (peer.runtime === "bun") return { file: bunBinary() ?? "bun", args: [`${folder}${peer.file}`, order] };
  const program = peer.name.startsWith("zuruf") ? join(snapshotOfOurs(), peer.file) : `${folder}${peer.file}`;
  return { file: process.execPath, args: ["--expose-gc", "--import", loader, program, order] };
}

/** When our own build was made, so that a result says what it measured. */
export function builtAt(): string {
  return statSync(here("../../packages/websocket/dist/.tsbuildinfo")).mtime.toISOString();
}
