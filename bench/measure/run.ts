import type { Memory } from "../peers/serving.ts";
import type { Measured } from "./measurement.ts";
import type { Worker } from "./process.ts";

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
  /** Publications that arrived everywhere, per second. */
  readonly publicationsPerSecond?: number;
  /** Bytes per connection (or channel), beside the JS heap. */
  readonly rss?: number;
  readonly external?: number;
  /** Bytes of the broker's processes per channel. */
  readonly brokerMemory?: number;
  /** CPU milliseconds per second of an instance that does nothing and its broker; and with all channels open. */
  readonly idleCpu?: number;
  readonly openCpu?: number;
}

/** @throws when nothing was measured. */
export function throughputOf(measured: Measured): Run {
  const { count, serverCpu, p50, p99 } = measured;
  if (count === 0 || serverCpu === 0) throw new Error(`nothing arrived within ${measured.seconds.toFixed(1)} s`);
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

/** What a connection costs: the generator opens some, so that code is loaded, waits for a line, and opens `connections` more. */
export async function memoryPerConnection(
  { server, generator }: { readonly server: Worker; readonly generator: Worker },
  connections: number,
): Promise<Run> {
  const ask = (): Promise<Memory> => {
    server.send("memory");
    return server.answer<Memory>(60_000);
  };
  await generator.answer(60_000);
  const before = await ask();
  generator.send("go on");
  await generator.answer(120_000);
  const after = await ask();
  const each = (key: keyof Memory): number => (after[key] - before[key]) / connections;
  return { value: each("heapUsed"), external: each("external"), rss: each("rss") };
}
