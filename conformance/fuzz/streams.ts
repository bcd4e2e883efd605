import type { Frame } from "../author/frame.ts";
import { frameBytes } from "../author/frame.ts";
import { bytesOf } from "../vector.ts";
import type { Random } from "./random.ts";

const characters = ["a", "Z", " ", "\0", "é", "ß", "€", "\ufeff", "世", "😀", "\u{10ffff}"];
const lengths = [0, 0, 1, 2, 3, 7, 8, 31, 63, 64, 65, 124, 125, 126, 127, 128, 255, 1000];
const closeCodes = [1000, 1001, 1005, 1006, 1011, 1015, 2999, 3000, 4999, 5000, 0];

function payload(random: Random, text: boolean): Buffer {
  const length = random.chance(0.01) ? 65_530 + random.below(12) : random.pick(lengths);
  if (!text) return random.bytes(length);
  if (random.chance(0.5)) return Buffer.alloc(length, "x");
  return Buffer.from(Array.from({ length }, () => random.pick(characters)).join(""));
}

/** The frames of one message, cut anywhere: inside characters, into nothing. */
function message(random: Random): Frame[] {
  const text = random.chance(0.6);
  const whole = payload(random, text);
  const pieces = random.chance(0.6) ? 1 : 2 + random.below(5);
  const cuts = Array.from({ length: pieces - 1 }, () => random.below(whole.length + 1)).sort((a, b) => a - b);
  const places = [0, ...cuts, whole.length];
  return Array.from({ length: pieces }, (_, i) => ({
    opcode: i === 0 ? (text ? 1 : 2) : 0,
    data: whole.subarray(places[i], places[i + 1]),
    fin: i === pieces - 1,
  }));
}

function control(random: Random): Frame {
  return { opcode: random.chance(0.5) ? 9 : 10, data: random.bytes(random.pick([0, 1, 5, 124, 125])) };
}

/** Frames as a well-behaved peer sends them, now and then with one oddity. */
export function frames(random: Random): Frame[] {
  const all: Frame[] = [];
  for (let i = random.below(6); i >= 0; i--) {
    for (const frame of message(random)) {
      if (random.chance(0.15)) all.push(control(random));
      all.push(frame);
    }
  }
  if (random.chance(0.3)) {
    const code = random.pick(closeCodes);
    all.push({
      opcode: 8,
      data: random.chance(0.2)
        ? Buffer.alloc(0)
        : Buffer.concat([Buffer.from([code >> 8, code & 255]), payload(random, true).subarray(0, 123)]),
    });
  }
  return all.map((frame) => ({ ...frame, key: random.bytes(4) }));
}

/** Breaks a frame's header in one of the ways that RFC 6455 §5.2 forbids. */
function broken(frame: Frame, random: Random): Frame {
  switch (random.below(6)) {
    case 0:
      return { ...frame, reserved: random.below(8) };
    case 1:
      return { ...frame, opcode: random.below(16) };
    case 2:
      return { ...frame, fin: !(frame.fin ?? true) };
    case 3:
      return { ...frame, wrongMask: true };
    case 4:
      return { ...frame, length: { form: 16, value: BigInt(random.below(65_536)) } };
    default:
      return { ...frame, length: { form: 64, value: BigInt(random.next()) << BigInt(random.below(33)) } };
  }
}

/** Bytes that begin like something and go wrong somewhere: flipped, cut out, put in, repeated. */
function mutated(bytes: Buffer, random: Random): Buffer {
  let out = Buffer.from(bytes);
  for (let i = random.below(3); i >= 0; i--) {
    const at = random.below(out.length + 1);
    const length = Math.min(out.length - at, random.pick([1, 1, 2, 4, 20]));
    const kind = random.below(5);
    if (kind === 0 && at < out.length) out[at] = (out[at] ?? 0) ^ (1 << random.below(8));
    else if (kind === 1) out = Buffer.concat([out.subarray(0, at), out.subarray(at + length)]);
    else if (kind === 2)
      out = Buffer.concat([out.subarray(0, at), random.bytes(1 + random.below(8)), out.subarray(at)]);
    else if (kind === 3) out = Buffer.concat([out.subarray(0, at), out.subarray(at, at + length), out.subarray(at)]);
    else out = out.subarray(0, at);
  }
  return out;
}

/** One stream for a receiver of this role. */
export function stream(random: Random, role: "server" | "client", seeds: readonly Buffer[]): Buffer {
  const kind = random.below(10);
  if (kind === 0) return random.bytes(random.below(300));
  if (kind === 1) return mutated(random.pick(seeds), random);
  const list = frames(random);
  if (kind <= 4) {
    const at = random.below(list.length);
    const frame = list[at];
    if (frame) list[at] = broken(frame, random);
  }
  const bytes = bytesOf(list.flatMap((frame) => frameBytes(frame, role)));
  return kind === 5 || kind === 6 ? mutated(bytes, random) : bytes;
}

/** Places to cut a stream: everywhere, few, or where buffers like to end. */
export function chunking(random: Random, length: number): number[] {
  if (length < 2) return [];
  const kind = random.below(4);
  if (kind === 0 && length <= 3000) return Array.from({ length: length - 1 }, (_, i) => i + 1);
  const count = kind === 1 ? 1 : 1 + random.below(Math.min(length, 12));
  const places = new Set(Array.from({ length: count }, () => 1 + random.below(length - 1)));
  return [...places].sort((a, b) => a - b);
}
