/**
 * The generator of the engine's load, a process on a core of its own. It uses raw sockets and frames made ahead of time, and counts
 * what comes back without looking at payloads, so that the server is the bottleneck; that payloads are right is the checking run's business (check.ts).
 */
import { mustStayOpen, open, openMany, type Target } from "../measure/connect.ts";
import { ring } from "../measure/frames.ts";
import { fanOut } from "../measure/fan-out.ts";
import { generator } from "../measure/generator.ts";
import { idle } from "../measure/idle.ts";
import { type Measured, Measurement } from "../measure/measurement.ts";
import { roundTrips } from "../measure/round-trips.ts";
import { Sender } from "../measure/sender.ts";
import { subscribePath } from "../peers/serving.ts";
import { check } from "./check.ts";
import type { Load } from "./load.ts";

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

await generator(async (given, pause) => {
  const load = given as Load;
  const target: Target = { port: load.port, path: "/", compression: load.compression };
  const count = load.size > 65_536 ? 4 : 64;
  const messages = ring(load.content, load.size, count, load.compression);
  if (load.check) return check(load, target, messages);
  switch (load.kind) {
    case "echo":
      return roundTrips(load, await openMany(load.connections, target), messages);
    case "fanout": {
      const subscribers = await openMany(load.connections, { ...target, path: subscribePath });
      const publisher = await open(target);
      mustStayOpen([...subscribers, publisher]);
      return fanOut(load, subscribers, new Sender(publisher, messages));
    }
    case "handshakes":
      return handshakes(load, target);
    case "idle":
      return idle(load.connections, (connections) => openMany(connections, target), pause);
  }
});
