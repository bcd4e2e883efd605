/**
 * The generator: a process of its own on a core of its own. It reads one {@link Load} as a JSON line on stdin and writes
 * JSON lines on stdout. It uses raw sockets and frames made ahead of time, and counts what comes back without looking at
 * payloads, so that the server is the bottleneck; that payloads are right is the checking run's business (check.ts).
 */
import { createInterface } from "node:readline";

import { cpuSeconds, machineCpuSeconds } from "../measure/process.ts";
import { percentile } from "../measure/statistics.ts";
import { subscribePath } from "../peers/serving.ts";
import { check } from "./check.ts";
import { open, openMany, type Target, type Wire } from "./connect.ts";
import { MessageCounter, type Ring, ring } from "./frames.ts";
import type { Load, Measured } from "./load.ts";
import { Sender } from "./sender.ts";

/** Counts between two moments, with the server's CPU time read at the same moments. */
class Measurement {
  count = 0;
  readonly latencies: number[] = [];
  measuring = false;
  readonly #load: Load;
  constructor(load: Load) {
    this.#load = load;
  }

  async run(): Promise<Measured> {
    await seconds(this.#load.warmUp);
    const { serverPid } = this.#load;
    this.count = 0;
    this.measuring = true;
    const own = process.cpuUsage();
    const cpu = cpuSeconds(serverPid);
    const all = machineCpuSeconds();
    const begin = performance.now();
    await seconds(this.#load.seconds);
    // On a machine that is busy with something else the server may have had little of its core: CPU time is counted in
    // ticks, so go on until there are enough of them, within reason.
    const { seconds: wanted } = this.#load;
    while (cpuSeconds(serverPid) - cpu < wanted / 2 && performance.now() - begin < 8000 * wanted)
      await seconds(wanted / 4);
    const elapsed = (performance.now() - begin) / 1000;
    const serverCpu = cpuSeconds(serverPid) - cpu;
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

function seconds(duration: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, duration * 1000));
}

function fail(error: unknown): never {
  process.stderr.write(`${error instanceof Error ? error.stack : String(error)}\n`);
  process.exit(1);
}

/** A connection that ends during a measurement makes the measurement worthless. */
function mustStayOpen(wires: readonly Wire[]): void {
  for (const wire of wires) wire.closed = () => fail(new Error("the server closed a connection"));
}

async function echo(load: Load, target: Target, messages: Ring): Promise<Measured> {
  const measurement = new Measurement(load);
  const wires = await openMany(load.connections, target);
  mustStayOpen(wires);
  for (const wire of wires) {
    const counter = new MessageCounter();
    const sender = new Sender(wire, messages);
    let sentAt = performance.now();
    wire.receive = (chunk, length) => {
      const arrived = counter.take(chunk, length);
      if (arrived === 0) return;
      measurement.count += arrived;
      if (load.inFlight === 1) {
        const now = performance.now();
        if (measurement.measuring) measurement.latencies.push(now - sentAt);
        sentAt = now;
      }
      sender.send(arrived);
    };
    sender.send(load.inFlight);
  }
  return measurement.run();
}

async function fanOut(load: Load, target: Target, messages: Ring): Promise<Measured> {
  const measurement = new Measurement(load);
  const subscribers = await openMany(load.connections, { ...target, path: subscribePath });
  const publisher = await open(target);
  mustStayOpen([...subscribers, publisher]);
  const sender = new Sender(publisher, messages);
  // How many subscribers have message k; only `inFlight` messages are ever incomplete.
  const arrivals = new Uint32Array(load.inFlight);
  let incomplete = 0;
  const publish = (count: number): void => {
    incomplete += count;
    sender.send(count);
  };
  for (const subscriber of subscribers) {
    const counter = new MessageCounter();
    let next = 0;
    subscriber.receive = (chunk, length) => {
      const arrived = counter.take(chunk, length);
      measurement.count += arrived;
      let complete = 0;
      for (let i = 0; i < arrived; i++) {
        const have = (arrivals[next] ?? 0) + 1;
        arrivals[next] = have === subscribers.length ? 0 : have;
        if (have === subscribers.length) complete++;
        next = (next + 1) % load.inFlight;
      }
      if (complete === 0) return;
      incomplete -= complete;
      if (!load.bursts) publish(complete);
      else if (incomplete === 0) publish(load.inFlight);
    };
  }
  publish(load.inFlight);
  return measurement.run();
}

async function handshakes(load: Load, target: Target): Promise<Measured> {
  const measurement = new Measurement(load);
  const stopping = new AbortController();
  let number = 0;
  const worker = async (): Promise<void> => {
    while (!stopping.signal.aborted) {
      // Closed connections keep their port in TIME-WAIT: go round many addresses.
      const wire = await open(target, `127.0.0.${2 + (number++ % 200)}`);
      measurement.count++;
      wire.closed = () => {};
      wire.destroy();
    }
  };
  const workers = Array.from({ length: load.connections }, worker);
  const measured = measurement.run().finally(() => stopping.abort());
  await Promise.race([Promise.all(workers), measured]);
  return measured;
}

/** Opens a hundred connections, so that code is loaded, then all. Says so after each and waits for a line in between. */
async function idle(load: Load, target: Target, lines: AsyncIterator<string>): Promise<void> {
  mustStayOpen(await openMany(100, target));
  answer({ connected: 100 });
  await lines.next();
  mustStayOpen(await openMany(load.connections, target));
  answer({ connected: 100 + load.connections });
  await lines.next();
}

function answer(line: unknown): void {
  process.stdout.write(`${JSON.stringify(line)}\n`);
}

async function main(): Promise<void> {
  const lines = createInterface({ input: process.stdin })[Symbol.asyncIterator]();
  const first = await lines.next();
  if (first.done) return;
  const load = JSON.parse(first.value) as Load;
  const target: Target = { port: load.port, path: "/", compression: load.compression };
  const count = load.size > 65_536 ? 4 : 64;
  const messages = ring(load.content, load.size, count, load.compression);
  if (load.check) answer(await check(load, target, messages));
  else if (load.kind === "echo") answer(await echo(load, target, messages));
  else if (load.kind === "fanout") answer(await fanOut(load, target, messages));
  else if (load.kind === "handshakes") answer(await handshakes(load, target));
  else await idle(load, target, lines);
  process.exit(0);
}

await main().catch(fail);
