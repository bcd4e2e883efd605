import { existsSync } from "node:fs";

import type { DialectName } from "../measure/dialects.ts";
import { folder, isBuilt, nodeProgram, ourProgram } from "../measure/programs.ts";
import type { ChannelServing, Serving } from "../peers/serving.ts";

/** One server that is measured. */
export interface Peer {
  readonly name: string;
  /** What the table and the chart call it. */
  readonly title: string;
  readonly dialect: DialectName;
  /** Its program in `bench/peers/`. */
  readonly file: string;
  readonly order: ChannelServing | Serving;
}

export const peers: readonly Peer[] = [
  { name: "zuruf", title: "Zuruf, with history", dialect: "zuruf", file: "zuruf-hub.ts", order: { history: true } },
  {
    name: "zuruf-live",
    title: "Zuruf, without history",
    dialect: "zuruf",
    file: "zuruf-hub.ts",
    order: { history: false },
  },
  { name: "socket.io", title: "Socket.IO", dialect: "socket.io", file: "socketio.ts", order: { history: false } },
  {
    name: "bare",
    title: "Zuruf's engine alone",
    dialect: "bare",
    file: "zuruf.ts",
    order: { mode: "fanout", compression: "off" },
  },
];

/** Why a peer cannot be started here; undefined when it can. */
export function missing({ name }: Peer): string | undefined {
  if (name === "socket.io")
    return existsSync(`${folder}node_modules/socket.io`) ? undefined : "not installed (bench/peers: npm ci)";
  return isBuilt() ? undefined : "not built (npm run build)";
}

/** The program and arguments that start a peer. */
export function commandOf({ name, file, order }: Peer): { file: string; args: string[] } {
  const text = JSON.stringify(order);
  return name === "socket.io" ? nodeProgram(`${folder}${file}`, text) : ourProgram(file, text);
}
