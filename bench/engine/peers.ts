import { execFileSync } from "node:child_process";
import { existsSync } from "node:fs";

import { bunBinary, folder, isBuilt, nodeProgram, ourProgram } from "../measure/programs.ts";
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
  if (peer.name.startsWith("zuruf") && !isBuilt()) return "not built (npm run build)";
  return undefined;
}

/** The program and arguments that start a peer. */
export function commandOf(peer: Peer, serving: Serving): { file: string; args: string[] } {
  const order = JSON.stringify(serving);
  if (peer.runtime === "bun") return { file: bunBinary() ?? "bun", args: [`${folder}${peer.file}`, order] };
  return peer.name.startsWith("zuruf") ? ourProgram(peer.file, order) : nodeProgram(`${folder}${peer.file}`, order);
}
