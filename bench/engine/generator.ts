/**
 * The generator: a process of its own on a core of its own. It reads one {@link Load} as a JSON line on stdin and writes
 * JSON lines on stdout. It uses raw sockets and frames made ahead of time, and counts what comes back without looking at
 * payloads, so that the server is the bottleneck; that payloads are right is the checking run's business (check.ts).
 */
import { createInterface } from "node:readline";

import { mustStayOpen, open, openMany, type Target } from "../measure/connect.ts";
import { MessageCounter, type Ring, ring } from "../measure/frames.ts";
import { fanOut } from "../measure/fan-out.ts";
import { answer, fail } from "../measure/generator.ts";
import { type Measured, Measurement } from "../measure/measurement.ts";
import { Sender } from "../measure/sender.ts";
import { subscribePath } from "../peers/serving.ts";
import { check } from "./check.ts";
import type { Load } from "./load.ts";

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
  else if (load.kind === "fanout") {
    const subscribers = await openMany(load.connections, { ...target, path: subscribePath });
    const publisher = await open(target);
    mustStayOpen([...subscribers, publisher]);
    answer(await fanOut(load, subscribers, new Sender(publisher, messages)));
  } else if (load.kind === "handshakes") answer(await handshakes(load, target));
  else await idle(load, target, lines);
  process.exit(0);
}

await main().catch(fail);
