import { constants, inflateRawSync } from "node:zlib";

import {
  Connection,
  type ConnectionEvent,
  decodeUtf8,
  isUtf8,
  portableLoops,
  WebSocketError,
} from "@zuruf/websocket/core";

import { bytesOf, textOf, type Vector, type VectorEvent } from "./vector.ts";

/** What became of a stream of bytes, in a form that can be compared. */
export interface Outcome {
  readonly events: readonly VectorEvent[];
  /** Frames that the connection sends by itself, unmasked: opcode and payload in hexadecimal. */
  readonly answers: readonly string[];
  readonly state: string;
  /** The status code that a failure tells the peer. */
  readonly failed: number | undefined;
  /** The failure's own code. */
  readonly code: string | undefined;
}

export const generous = { maxMessage: 2 ** 24, maxFrame: 2 ** 24, maxFragments: 4096 } as const;

const window = 32 * 1024;

/** RFC 7692 §7.2.2, synchronously; the window is what was inflated so far. */
class Inflater {
  #past: Buffer = Buffer.alloc(0);

  /** @returns undefined for what is not DEFLATE. */
  take(bytes: Uint8Array, limit: number): Buffer | undefined {
    const input = Buffer.concat([bytes, Buffer.from([0, 0, 0xff, 0xff])]);
    const dictionary = this.#past.length > 0 ? { dictionary: this.#past } : {};
    try {
      const plain = inflateRawSync(input, {
        finishFlush: constants.Z_SYNC_FLUSH,
        maxOutputLength: limit,
        ...dictionary,
      });
      this.#past = Buffer.concat([this.#past, plain]).subarray(-window);
      return plain;
    } catch {
      return undefined;
    }
  }
}

function plainEvent(event: ConnectionEvent, inflater: Inflater, limit: number): VectorEvent | WebSocketError {
  if (event.type === "fail") return event.error;
  if (event.type === "close") return { type: "close", code: event.code, reason: event.reason };
  if (event.type !== "message") return { type: event.type, data: Buffer.from(event.bytes).toString("hex") };
  let payload: Uint8Array = event.bytes.slice(event.start, event.end);
  if (event.compressed) {
    const plain = inflater.take(payload, limit);
    if (plain === undefined) return new WebSocketError("INVALID_DEFLATE");
    if (event.text && !isUtf8(plain, 0, plain.length)) return new WebSocketError("INVALID_UTF8");
    payload = plain;
  }
  if (!event.text) return { type: "message", binary: [Buffer.from(payload).toString("hex")] };
  return { type: "message", text: decodeUtf8(payload, 0, payload.length) };
}

/** The frame that a connection wrote, unmasked. */
function answerOf(frame: Uint8Array): string {
  const masked = ((frame[1] ?? 0) & 0x80) !== 0;
  const at = masked ? 6 : 2;
  const payload = frame.slice(at).map((byte, i) => (masked ? byte ^ (frame[2 + (i & 3)] ?? 0) : byte));
  return `${(frame[0] ?? 0).toString(16)}:${Buffer.from(payload).toString("hex")}`;
}

/** How {@link outcomeOf} runs a connection. */
export interface Setting {
  readonly role: Vector["role"];
  readonly deflate: boolean;
  readonly limits?: { readonly maxMessage: number; readonly maxFrame: number; readonly maxFragments: number };
}

/** Feeds a connection of our core with bytes in the given pieces. Each piece is the connection's own: it unmasks in place. */
export function outcomeOf(
  pieces: Iterable<Uint8Array>,
  { role, deflate, limits = generous }: Setting,
): Outcome & { readonly largest: number } {
  let number = 1;
  const mask = (): number => (number = Math.imul(number, 0x9e3779b1) | 1);
  let largest = 0;
  const allocate = (length: number): Uint8Array => {
    largest = Math.max(largest, length);
    return new Uint8Array(length);
  };
  const loops = { ...portableLoops, allocate };
  const connection = new Connection({ role, ...limits, loops, ...(role === "client" ? { mask } : {}) }, deflate);
  const inflater = new Inflater();
  const events: VectorEvent[] = [];
  const answers: string[] = [];
  let failed: number | undefined;
  let code: string | undefined;
  for (const piece of pieces) {
    connection.feed(piece);
    for (let event = connection.next(); event !== undefined; event = connection.next()) {
      const plain = plainEvent(event, inflater, limits.maxMessage);
      if (plain instanceof WebSocketError) {
        if (event.type !== "fail") connection.fail(plain);
        failed = plain.closeCode;
        code = plain.code;
      } else {
        events.push(plain);
      }
    }
  }
  for (const frame of connection.takeOutput()) answers.push(answerOf(frame));
  const outcome = { events, answers, state: connection.state, failed, code };
  // Not part of what can be compared: it depends on how the bytes were cut.
  return Object.defineProperty(outcome as typeof outcome & { largest: number }, "largest", {
    value: largest,
    enumerable: false,
  });
}

/** Cuts bytes at the given places; every piece is a copy. */
export function cut(all: Uint8Array, places: Iterable<number>): Uint8Array[] {
  const bytes = new Uint8Array(all); // Not a Buffer, whose `slice` does not copy.
  const pieces: Uint8Array[] = [];
  let from = 0;
  for (const place of places) {
    pieces.push(bytes.slice(from, place));
    from = place;
  }
  pieces.push(bytes.slice(from));
  return pieces;
}

function eventText(event: VectorEvent): string {
  if (event.type !== "message") return JSON.stringify(event);
  if ("text" in event) return `text ${textOf(event.text)}`;
  return `binary ${bytesOf(event.binary).toString("hex")}`;
}

/** What differs between a vector and what a connection made of it; undefined when nothing does. */
export function difference(vector: Vector, outcome: Outcome): string | undefined {
  const expected = vector.events.map(eventText);
  const events = outcome.events.map(eventText);
  if (expected.join("\n") !== events.join("\n")) return `events ${brief(events)} instead of ${brief(expected)}`;
  const answers = vector.answers.map(({ frame, payload }) => `${frame === "pong" ? "8a" : "88"}:${payload}`);
  const sent = [...outcome.answers];
  if (typeof vector.outcome === "object") {
    const { fails } = vector.outcome;
    if (outcome.failed === undefined || !fails.includes(outcome.failed))
      return `failed with ${outcome.failed} instead of ${fails.join(" or ")}`;
    if (outcome.state !== "failed") return `state ${outcome.state} after a failure`;
    // RFC 6455 §7.1.7: the close frame that tells of the failure.
    answers.push(`88:${outcome.failed.toString(16).padStart(4, "0")}`);
  } else if (outcome.failed !== undefined) {
    return `failed with ${outcome.failed}`;
  } else if (outcome.state !== vector.outcome) {
    return `state ${outcome.state} instead of ${vector.outcome}`;
  }
  if (answers.join(" ") !== sent.join(" ")) return `answers ${brief(sent)} instead of ${brief(answers)}`;
  return undefined;
}

function brief(parts: readonly string[]): string {
  return JSON.stringify(parts.map((part) => (part.length > 80 ? `${part.slice(0, 80)}… (${part.length})` : part)));
}
