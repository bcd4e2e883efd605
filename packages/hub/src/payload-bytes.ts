import type { Payload } from "@zuruf/protocol";

const encoder = new TextEncoder();
const decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

/** A payload between instances: a byte for its format (0 JSON, 1 binary), then its data. */
export function payloadToBytes(payload: Payload): Uint8Array {
  const data = payload.format === "json" ? encoder.encode(payload.text) : payload.bytes;
  const bytes = new Uint8Array(1 + data.length);
  bytes[0] = payload.format === "json" ? 0 : 1;
  bytes.set(data, 1);
  return bytes;
}

/** Undefined where it is none. */
export function payloadFromBytes(bytes: Uint8Array): Payload | undefined {
  const data = bytes.subarray(1);
  if (bytes[0] === 1) return { format: "binary", bytes: data };
  if (bytes[0] !== 0) return undefined;
  try {
    const text = decoder.decode(data);
    return { format: "json", text, value: JSON.parse(text) as unknown };
  } catch {
    return undefined;
  }
}
