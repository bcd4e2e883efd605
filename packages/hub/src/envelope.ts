import type { Payload, PublicationInfo } from "@zuruf/protocol";

const encoder = new TextEncoder();
const decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

const jsonFormat = 0x10;
const binaryFormat = 0x11;

/**
 * What the hub gives a backplane to carry: who published, when and with which key, and the data as it came.
 *
 *     byte 0      format: 0x10 JSON text, 0x11 bytes
 *     bytes 1–2   length of the info, big endian
 *     info        JSON: { client?, user?, time, key? }
 *     data        to the end
 */
export function encodeEnvelope(info: PublicationInfo, payload: Payload): Uint8Array {
  const head = encoder.encode(JSON.stringify(info));
  const data = payload.format === "json" ? encoder.encode(payload.text) : payload.bytes;
  const envelope = new Uint8Array(3 + head.length + data.length);
  envelope[0] = payload.format === "json" ? jsonFormat : binaryFormat;
  envelope[1] = head.length >> 8;
  envelope[2] = head.length & 0xff;
  envelope.set(head, 3);
  envelope.set(data, 3 + head.length);
  return envelope;
}

/** The parts of an envelope; undefined where it is none (a broker's data is not trusted). The data's JSON is not parsed again. */
export function decodeEnvelope(envelope: Uint8Array): { info: PublicationInfo; payload: Payload } | undefined {
  const end = 3 + (((envelope[1] ?? 0) << 8) | (envelope[2] ?? 0));
  const format = envelope[0];
  if (envelope.length < end || (format !== jsonFormat && format !== binaryFormat)) return undefined;
  try {
    const info = checkInfo(JSON.parse(decoder.decode(envelope.subarray(3, end))));
    if (info === undefined) return undefined;
    const data = envelope.subarray(end);
    return {
      info,
      payload:
        format === jsonFormat ? { format: "json", text: decoder.decode(data) } : { format: "binary", bytes: data },
    };
  } catch {
    return undefined;
  }
}

function checkInfo(value: unknown): PublicationInfo | undefined {
  if (typeof value !== "object" || value === null) return undefined;
  const { client, user, time, key } = value as Record<string, unknown>;
  if (!Number.isSafeInteger(time)) return undefined;
  for (const text of [client, user, key]) if (text !== undefined && typeof text !== "string") return undefined;
  return value as PublicationInfo;
}
