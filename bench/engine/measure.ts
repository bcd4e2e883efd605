import { fileURLToPath } from "node:url";

import type { Measured } from "../measure/measurement.ts";
import { Worker } from "../measure/process.ts";
import { generatorProgram } from "../measure/programs.ts";
import { memoryPerConnection, type Run, throughputOf } from "../measure/run.ts";
import type { Checked } from "./check.ts";
import type { Load } from "./load.ts";
import { commandOf, type Peer } from "./peers.ts";
import type { Test } from "./tests.ts";

/** The server has one core, the generator and the bench the other. */
const serverCore = 0;
const generatorCore = 1;

const generator = fileURLToPath(new URL("generator.ts", import.meta.url));

interface Pair {
  readonly server: Worker;
  readonly generator: Worker;
  readonly port: number;
  readonly versions: Readonly<Record<string, string>>;
}

/** Starts a fresh server and a fresh generator, so that nothing of an earlier run is left in either. */
async function withPair<T>(peer: Peer, test: Test, use: (pair: Pair) => Promise<T>): Promise<T> {
  const mode = test.kind === "fanout" ? "fanout" : "echo";
  const command = commandOf(peer, { mode, compression: test.compression });
  const server = new Worker({ ...command, core: serverCore, ...(peer.env ? { env: peer.env } : {}) });
  // Handshakes and ten thousand connections need source addresses of their own, which only Node's sockets have.
  const cheap = test.kind === "echo" || test.kind === "fanout";
  const load = new Worker({ ...generatorProgram(generator, cheap), core: generatorCore });
  try {
    const { port, versions } = await server.answer<{ port: number; versions: Record<string, string> }>(30_000);
    return await use({ server, generator: load, port, versions });
  } finally {
    await Promise.all([server.stop(), load.stop()]);
  }
}

function loadOf(test: Test, { port, server }: Pair, seconds: number, check: boolean): Load {
  const { kind, connections, inFlight, bursts, content, size, compression } = test;
  const shape = { kind, connections, inFlight, bursts, content, size, compression };
  return { ...shape, port, serverPids: [server.pid], warmUp: seconds / 2, seconds, check };
}

/** Verifies a peer's answers in full. @throws when they are wrong. */
export function verify(
  peer: Peer,
  test: Test,
): Promise<{ checked: number; versions: Readonly<Record<string, string>> }> {
  return withPair(peer, test, async (pair) => {
    pair.generator.send(JSON.stringify(loadOf(test, pair, 1, true)));
    const { checked } = await pair.generator.answer<Checked>(60_000);
    return { checked, versions: pair.versions };
  });
}

/** Measures once. */
export function measure(peer: Peer, test: Test, seconds: number): Promise<Run> {
  return withPair(peer, test, async (pair) => {
    pair.generator.send(JSON.stringify(loadOf(test, pair, seconds, false)));
    if (test.measures === "memory") return memoryPerConnection(pair, test.connections);
    return throughputOf(await pair.generator.answer<Measured>(60_000 + seconds * 2000));
  });
}
