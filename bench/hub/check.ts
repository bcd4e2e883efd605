/** The checking run: few clients do the same as in a measurement, and every answer is read and compared. */
import { type Dialect, openPublisher, openSubscribers } from "../measure/dialects.ts";
import { expectAll } from "../measure/expect.ts";
import type { Ring } from "../measure/frames.ts";
import { Sender } from "../measure/sender.ts";
import { channel, type Load } from "./load.ts";

/** Does the load once, slowly and strictly. @throws when an answer is wrong. */
export async function check(load: Load, dialect: Dialect, messages: Ring): Promise<{ checked: number }> {
  const { payloads } = messages;
  const total = 2 * payloads.length;
  const { inFlight, port } = load;
  const connections = Math.min(load.connections, 16);
  if (load.kind === "ack") {
    const wires = await Promise.all(Array.from({ length: connections }, () => openPublisher(port, dialect)));
    await Promise.all(
      wires.map((wire) => {
        const sender = new Sender(wire, messages);
        let sent = inFlight;
        const id = (place: number): number => (place % payloads.length) + 1;
        const done = expectAll(wire, total, dialect.acknowledged, id, () => {
          if (sent++ < total) sender.send(1);
        });
        sender.send(inFlight);
        return done;
      }),
    );
    return { checked: connections * total };
  }
  const subscribers = await openSubscribers(connections, port, dialect, [channel]);
  const publisher = await openPublisher(port, dialect);
  const sender = new Sender(publisher, messages);
  const text = (place: number): string => payloads[place % payloads.length]?.toString("latin1") ?? "";
  const all = subscribers.map((wire) => expectAll(wire, total, dialect.publication, text, () => {}));
  for (let sent = 0; sent < total; sent += inFlight) sender.send(inFlight);
  await Promise.all(all);
  return { checked: connections * total };
}
