/**
 * The checking run: the same connections and messages as a measurement, but every byte of every answer is compared.
 * A peer that fails it is not measured, since a wrong answer may be arbitrarily fast.
 */
import { open, openMany, type Target, type Wire } from "../measure/connect.ts";
import type { Ring } from "../measure/frames.ts";
import { MessageReader } from "../measure/reader.ts";
import { Sender } from "../measure/sender.ts";
import { subscribePath } from "../peers/serving.ts";
import type { Load } from "./load.ts";

export interface Checked {
  /** Messages (or handshakes) whose every byte was right. */
  readonly checked: number;
}

/** Resolves when `wire` has received `rounds` rounds of the ring, each message as it was sent. */
function receiveAll(wire: Wire, messages: Ring, context: boolean, total: number, next: () => void): Promise<void> {
  return new Promise((resolve, reject) => {
    const reader = new MessageReader(context);
    let received = 0;
    wire.closed = () => reject(new Error(`the server closed the connection after ${received} messages`));
    wire.receive = (chunk, length) => {
      try {
        for (const { text, payload } of reader.take(Buffer.from(chunk.subarray(0, length)))) {
          const expected = messages.payloads[received % messages.payloads.length];
          if (text !== messages.text || !expected?.equals(payload))
            throw new Error(`message ${received} came back changed`);
          received++;
          if (received === total) resolve();
          next();
        }
      } catch (error) {
        reject(error);
      }
    };
  });
}

/** Does the load once, slowly and strictly. @throws when an answer is wrong. */
export async function check(load: Load, target: Target, messages: Ring): Promise<Checked> {
  if (load.kind === "handshakes" || load.kind === "idle") {
    // `open` itself verifies the whole answer.
    const wires = await openMany(50, target);
    return { checked: wires.length };
  }
  const context = load.compression === "context";
  const connections = Math.min(load.connections, 16);
  const total = 2 * messages.payloads.length;
  if (load.kind === "echo") {
    const wires = await openMany(connections, target);
    await Promise.all(
      wires.map((wire) => {
        const sender = new Sender(wire, messages);
        let sent = load.inFlight;
        const done = receiveAll(wire, messages, context, total, () => {
          if (sent++ < total) sender.send(1);
        });
        sender.send(load.inFlight);
        return done;
      }),
    );
    return { checked: connections * total };
  }
  const subscribers = await openMany(connections, { ...target, path: subscribePath });
  const publisher = await open(target);
  const sender = new Sender(publisher, messages);
  const done = subscribers.map((wire) => receiveAll(wire, messages, context, total, () => {}));
  for (let sent = 0; sent < total; sent += load.inFlight) sender.send(load.inFlight);
  await Promise.all(done);
  return { checked: connections * total };
}
