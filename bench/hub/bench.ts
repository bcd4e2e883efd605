import { fileURLToPath } from "node:url";

import { chart } from "../measure/chart.ts";
import type { Measured } from "../measure/measurement.ts";
import { Worker } from "../measure/process.ts";
import { generatorProgram } from "../measure/programs.ts";
import { memoryPerConnection, type Run, throughputOf } from "../measure/run.ts";
import { run, type Suite } from "../measure/suite.ts";
import type { Load } from "./load.ts";
import { commandOf, missing, type Peer, peers } from "./peers.ts";
import { type Test, tests } from "./tests.ts";

/** The server has one core, the generator and the bench the other. */
const serverCore = 0;
const generatorCore = 1;

const generatorFile = fileURLToPath(new URL("generator.ts", import.meta.url));

interface Pair {
  readonly server: Worker;
  readonly generator: Worker;
  readonly versions: Readonly<Record<string, string>>;
}

/** Starts a fresh server and a fresh generator, and gives the generator its load. */
async function withPair<T>(
  peer: Peer,
  { kind, connections, inFlight, bursts, size }: Test,
  { seconds, check }: { readonly seconds: number; readonly check: boolean },
  use: (pair: Pair) => Promise<T>,
): Promise<T> {
  const server = new Worker({ ...commandOf(peer), core: serverCore });
  const generator = new Worker({ ...generatorProgram(generatorFile, kind !== "idle"), core: generatorCore });
  try {
    const { port, versions } = await server.answer<{ port: number; versions: Record<string, string> }>(30_000);
    const { dialect } = peer;
    const period = { serverPids: [server.pid], warmUp: seconds / 2, seconds };
    const load: Load = { ...period, port, dialect, kind, connections, inFlight, bursts, size, check };
    generator.send(JSON.stringify(load));
    return await use({ server, generator, versions });
  } finally {
    await Promise.all([server.stop(), generator.stop()]);
  }
}

function verify(peer: Peer, test: Test): Promise<Readonly<Record<string, string>>> {
  return withPair(peer, test, { seconds: 1, check: true }, async ({ generator, versions }) => {
    await generator.answer(60_000);
    return versions;
  });
}

function measure(peer: Peer, test: Test, seconds: number): Promise<Run> {
  return withPair(peer, test, { seconds, check: false }, async (pair) => {
    if (test.measures === "memory") return memoryPerConnection(pair, test.connections);
    return throughputOf(await pair.generator.answer<Measured>(60_000 + seconds * 2000));
  });
}

export const suite: Suite<Test, Peer> = {
  name: "hub",
  tests,
  peers,
  baseline: "socket.io",
  whole: tests.length,
  missing,
  // The engine alone knows neither acknowledgements nor channels.
  able: ({ name }, { kind }) => name !== "bare" || kind === "fanout",
  verify,
  measure,
  chart: (results) =>
    chart(results, {
      title: "Messages per server-CPU-second, against Socket.IO (more is better)",
      baseline: "Socket.IO",
      label: (name) => tests.find((test) => test.name === name)?.chart,
      series: [
        { peer: "zuruf", title: "Zuruf, with history", colour: "#2f81f7" },
        { peer: "zuruf-live", title: "Zuruf, without history", colour: "#79a8e8" },
        { peer: "bare", title: "Zuruf's engine alone", colour: "#8c8c8c" },
      ],
    }),
};

/** Measures the hub and the server around it beside Socket.IO. @returns the process's exit code. */
export function hub(args: readonly string[]): Promise<number> {
  return run(suite, args);
}
