/**
 * The checking run: the same connections and messages as a measurement, but every byte of every answer is compared.
 * A peer that fails it is not measured, since a wrong answer may be arbitrarily fast.
 */
import { subscribePath } from "../peers/serving.ts";
import { open, openMany, type Target, type Wire } from "./connect.ts";
import { inflated, type Ring, Window } from "./frames.ts";
import type { Load } from "./load.ts";
import { Sender } from "./sender.ts";

/** Collects the messages of one connection, whole. */
class MessageReader {
  #bytes: Buffer = Buffer.alloc(0);
  #fragments: Buffer[] = [];
  #compressed = false;
  #text = false;
  #past = new Window();
  readonly #context: boolean;

  constructor(context: boolean) {
    this.#context = context;
  }

  /** The messages that end in this chunk. */
  take(chunk: Buffer): { readonly text: boolean; readonly payload: Buffer }[] {
    this.#bytes = Buffer.concat([this.#bytes, chunk]);
    const messages: { text: boolean; payload: Buffer }[] = [];
    for (;;) {
      const bytes = this.#bytes;
      if (bytes.length < 2) return messages;
      const first = bytes.readUInt8(0);
      const second = bytes.readUInt8(1);
      const short = second & 0x7f;
      const masked = second >= 0x80;
      let at = 2 + (short === 126 ? 2 : short === 127 ? 8 : 0);
      if (bytes.length < at) return messages;
      const length = short < 126 ? short : short === 126 ? bytes.readUInt16BE(2) : Number(bytes.readBigUInt64BE(2));
      const mask = masked ? bytes.subarray(at, at + 4) : undefined;
      if (masked) at += 4;
      if (bytes.length < at + length) return messages;
      const payload = Buffer.from(bytes.subarray(at, at + length));
      if (mask) for (let i = 0; i < length; i++) payload[i] = (payload[i] ?? 0) ^ (mask[i & 3] ?? 0);
      this.#bytes = bytes.subarray(at + length);
      const opcode = first & 0x0f;
      if (opcode >= 8) continue;
      if (opcode !== 0) {
        this.#compressed = (first & 0x40) !== 0;
        this.#text = opcode === 1;
      }
      this.#fragments.push(payload);
      if (first < 0x80) continue;
      const whole = Buffer.concat(this.#fragments);
      this.#fragments = [];
      if (!this.#context) this.#past = new Window();
      messages.push({ text: this.#text, payload: this.#compressed ? inflated(whole, this.#past) : whole });
    }
  }
}

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
