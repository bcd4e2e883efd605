/**
 * The generator of the hub's load: a process of its own on a core of its own. It reads one {@link Load} as a JSON line on
 * stdin and writes JSON lines on stdout. Its clients use no library, but raw sockets and frames made ahead of time.
 */
import { createInterface } from "node:readline";

import { mustStayOpen } from "../measure/connect.ts";
import { type Dialect, dialects, openPublisher, openSubscribers } from "../measure/dialects.ts";
import { fanOut } from "../measure/fan-out.ts";
import { MessageCounter, type Ring, textRing } from "../measure/frames.ts";
import { answer, fail } from "../measure/generator.ts";
import { type Measured, Measurement } from "../measure/measurement.ts";
import { Sender } from "../measure/sender.ts";
import { check } from "./check.ts";
import { channel, type Load } from "./load.ts";

async function broadcast(load: Load, dialect: Dialect, messages: Ring): Promise<Measured> {
  const subscribers = await openSubscribers(load.connections, load.port, dialect, [channel]);
  const publisher = await openPublisher(load.port, dialect);
  mustStayOpen([...subscribers, publisher]);
  publisher.receive = () => {}; // its acknowledgements
  return fanOut(load, subscribers, new Sender(publisher, messages));
}

async function acknowledged(load: Load, dialect: Dialect, messages: Ring): Promise<Measured> {
  const measurement = new Measurement(load);
  const wires = await Promise.all(Array.from({ length: load.connections }, () => openPublisher(load.port, dialect)));
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

/** Opens a hundred clients, so that code is loaded, then all. Says so after each and waits for a line in between. */
async function idle(load: Load, dialect: Dialect, lines: AsyncIterator<string>): Promise<void> {
  mustStayOpen(await openSubscribers(100, load.port, dialect, [channel]));
  answer({ connected: 100 });
  await lines.next();
  mustStayOpen(await openSubscribers(load.connections, load.port, dialect, [channel]));
  answer({ connected: 100 + load.connections });
  await lines.next();
}

async function main(): Promise<void> {
  const lines = createInterface({ input: process.stdin })[Symbol.asyncIterator]();
  const first = await lines.next();
  if (first.done) return;
  const load = JSON.parse(first.value) as Load;
  const dialect = dialects[load.dialect];
  // The ring's places are the ids: as many as are under way at most, and more.
  const messages = textRing(load.size, 128, (place, text) =>
    dialect.publish(channel, text, place + 1, load.kind === "ack"),
  );
  if (load.check) answer(await check(load, dialect, messages));
  else if (load.kind === "fanout") answer(await broadcast(load, dialect, messages));
  else if (load.kind === "ack") answer(await acknowledged(load, dialect, messages));
  else await idle(load, dialect, lines);
  process.exit(0);
}

await main().catch(fail);
