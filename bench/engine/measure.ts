import { fileURLToPath } from "node:url";

import { Worker } from "../measure/process.ts";
import type { Memory } from "../peers/serving.ts";
import type { Checked } from "./check.ts";
import type { Load, Measured } from "./load.ts";
import { bunBinary, commandOf, loader, type Peer } from "./peers.ts";
import type { Test } from "./tests.ts";

/** The server has one core, the generator and the bench the other. */
const serverCore = 0;
const generatorCore = 1;

const generator = fileURLToPath(new URL("generator.ts", import.meta.url));

/** One run of one test with one peer. */
export interface Run {
  /** Messages per server-CPU-second, or bytes of JS heap per connection. */
  readonly value: number;
  /** The share of the time that the server used its core: below 1 the generator held it back. */
  readonly serverBusy?: number;
  readonly generatorBusy?: number;
  /** Cores that something else kept busy meanwhile; more than some hundredths disturb the figures. */
  readonly othersBusy?: number;
  readonly messagesPerSecond?: number;
  /** Milliseconds. */
  readonly p50?: number;
  readonly p99?: number;
  /** Bytes per connection, beside the JS heap. */
  readonly rss?: number;
  readonly external?: number;
}

interface Pair {
  readonly server: Worker;
  readonly generator: Worker;
  readonly port: number;
  readonly versions: Readonly<Record<string, string>>;
}

/**
 * The generator runs on Bun where it can: cheaper sockets, so that it keeps up with the server. Handshakes and ten thousand
 * connections need source addresses of their own, which only Node's sockets have.
 */
function generatorCommand({ kind }: Test): { file: string; args: string[] } {
  const bun = kind === "echo" || kind === "fanout" ? bunBinary() : undefined;
  if (bun !== undefined && process.env["ZURUF_BENCH_GENERATOR"] !== "node") return { file: bun, args: [generator] };
  return { file: process.execPath, args: ["--import", loader, generator] };
}

/** Starts a fresh server and a fresh generator, so that nothing of an earlier run is left in either. */
async function withPair<T>(peer: Peer, test: Test, use: (pair: Pair) => Promise<T>): Promise<T> {
  const mode = test.kind === "fanout" ? "fanout" : "echo";
  const command = commandOf(peer, { mode, compression: test.compression });
  const server = new Worker({ ...command, core: serverCore, ...(peer.env ? { env: peer.env } : {}) });
  const load = new Worker({ ...generatorCommand(test), core: generatorCore });
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
  return { ...shape, port, serverPid: server.pid, warmUp: seconds / 2, seconds, check };
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
    return test.measures === "memory" ? memory(pair, test.connections) : throughput(pair, seconds);
  });
}

async function throughput({ generator }: Pair, seconds: number): Promise<Run> {
  const measured = await generator.answer<Measured>(60_000 + seconds * 2000);
  const { count, serverCpu, p50, p99 } = measured;
  if (count === 0 || serverCpu === 0) throw new Error(`nothing arrived within ${seconds} s`);
  return {
    value: count / serverCpu,
    serverBusy: serverCpu / measured.seconds,
    generatorBusy: measured.generatorCpu / measured.seconds,
    othersBusy: measured.othersCpu / measured.seconds,
    messagesPerSecond: count / measured.seconds,
    ...(p50 === undefined ? {} : { p50 }),
    ...(p99 === undefined ? {} : { p99 }),
  };
}

async function memory({ server, generator }: Pair, connections: number): Promise<Run> {
  const ask = (): Promise<Memory> => {
    server.send("memory");
    return server.answer<Memory>(60_000);
  };
  await generator.answer(30_000);
  const before = await ask();
  generator.send("go on");
  await generator.answer(120_000);
  const after = await ask();
  const each = (key: keyof Memory): number => (after[key] - before[key]) / connections;
  return { value: each("heapUsed"), external: each("external"), rss: each("rss") };
}
