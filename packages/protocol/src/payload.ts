import { PacketError } from "./codec.ts";
import type { Payload } from "./packets.ts";

/** What the application gave or gets: the parsed JSON value, or the bytes. @throws {SyntaxError} where `text` is no JSON. */
export function payloadValue(payload: Payload): unknown {
  if (payload.format === "binary") return payload.bytes;
  return payload.value === undefined ? (JSON.parse(payload.text) as unknown) : payload.value;
}

/** A payload of any JSON value, or of bytes (a `Uint8Array` or an `ArrayBuffer`). @throws {PacketError} `badRequest` for what JSON cannot say (undefined, functions, cycles, bigint). */
export function toPayload(data: unknown): Payload {
  if (data instanceof Uint8Array) return { format: "binary", bytes: data };
  if (data instanceof ArrayBuffer) return { format: "binary", bytes: new Uint8Array(data) };
  let text: string | undefined;
  try {
    text = JSON.stringify(data);
  } catch (error) {
    throw new PacketError(`data cannot be written as JSON: ${error instanceof Error ? error.message : String(error)}`);
  }
  if (text === undefined) throw new PacketError("data must be a JSON value or bytes");
  return { format: "json", text };
}

/** Bytes of the payload's data as it travels in the binary codec. */
export function payloadLength(payload: Payload): number {
  return payload.format === "binary" ? payload.bytes.length : payload.text.length;
}
