import { machineCpuSeconds, treeCpuSeconds } from "./process.ts";
import { percentile } from "./statistics.ts";

/** When and on whom a measurement is made. */
export interface Period {
  /** The processes whose CPU time counts, with all that they started. */
  readonly serverPids: readonly number[];
  /** Seconds before measuring begins. */
  readonly warmUp: number;
  readonly seconds: number;
}

export interface Measured {
  /** Messages that arrived (fan-out: at all subscribers together), or handshakes done. */
  readonly count: number;
  readonly seconds: number;
  readonly serverCpu: number;
  readonly generatorCpu: number;
  /** CPU seconds that neither of the two used: what disturbed the measurement. */
  readonly othersCpu: number;
  /** Milliseconds from sending to the answer; only where one message is under way per connection. */
  readonly p50?: number;
  readonly p99?: number;
}

/** Counts between two moments, with the server's CPU time read at the same moments. */
export class Measurement {
  count = 0;
  readonly latencies: number[] = [];
  measuring = false;
  readonly #load: Period;
  constructor(load: Period) {
    this.#load = load;
  }

  async run(): Promise<Measured> {
    await seconds(this.#load.warmUp);
    const { serverPids } = this.#load;
    this.count = 0;
    this.measuring = true;
    const own = process.cpuUsage();
    const cpu = treeCpuSeconds(serverPids);
    const all = machineCpuSeconds();
    const begin = performance.now();
    await seconds(this.#load.seconds);
    // On a machine that is busy with something else the server may have had little of its core: CPU time is counted in
    // ticks, so go on until there are enough of them, within reason.
    const { seconds: wanted } = this.#load;
    while (treeCpuSeconds(serverPids) - cpu < wanted / 2 && performance.now() - begin < 8000 * wanted)
      await seconds(wanted / 4);
    const elapsed = (performance.now() - begin) / 1000;
    const serverCpu = treeCpuSeconds(serverPids) - cpu;
    const { user, system } = process.cpuUsage(own);
    const generatorCpu = (user + system) / 1e6;
    const othersCpu = Math.max(0, machineCpuSeconds() - all - serverCpu - generatorCpu);
    this.measuring = false;
    const { count, latencies } = this;
    return {
      count,
      seconds: elapsed,
      serverCpu,
      generatorCpu,
      othersCpu,
      ...(latencies.length > 0 ? { p50: percentile(latencies, 0.5), p99: percentile(latencies, 0.99) } : {}),
    };
  }
}

export function seconds(duration: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, duration * 1000));
}
