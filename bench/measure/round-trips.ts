import { mustStayOpen, type Wire } from "./connect.ts";
import { MessageCounter, type Ring } from "./frames.ts";
import { type Measured, Measurement, type Period } from "./measurement.ts";
import { Sender } from "./sender.ts";

/** Keeps `inFlight` messages under way on each connection: whatever is answered is sent anew. One alone is timed. */
export function roundTrips(
  load: Period & { readonly inFlight: number },
  wires: readonly Wire[],
  messages: Ring,
): Promise<Measured> {
  const measurement = new Measurement(load);
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
