import type { Payload, PublicationInfo } from "@zuruf/protocol";

const encoder = new TextEncoder();
const decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

const jsonFormat = 0x10;
const binaryFormat = 0x11;

/** Short envelopes are written into a slab, because a buffer of one's own costs several times what filling it does. */
const slabBytes = 8192;
const shortBytes = 1024;
interface Slab {
  bytes: Uint8Array;
  used: number;
}
const newSlab = (): Slab => ({ bytes: new Uint8Array(slabBytes), used: 0 });
/** What a log in memory keeps would keep its slab, with all that passed by at the same time: so what passes has a slab of its own. */
const keptSlab = newSlab();
const passingSlab = newSlab();

/** What was encoded last, of JSON: a backplane in this process brings it back at once, and then it need not be read. */
let newest: Uint8Array | undefined;
let newestInfo: PublicationInfo;
let newestText: string;

/** Ends the info: JSON never has it outside of an escape. */
const newline = 0x0a;

/**
 * What the hub gives a backplane to carry: who published, when and with which key, and the data as it came.
 *
 *     byte 0      format: 0x10 JSON text, 0x11 bytes
 *     info        JSON { client?, user?, time, key? }, then a newline
 *     data        to the end
 *
 * @param kept a log will keep it.
 */
export function encodeEnvelope(info: PublicationInfo, payload: Payload, kept: boolean): Uint8Array {
  if (payload.format === "json") {
    newestInfo = info;
    newestText = payload.text;
    return (newest = encode(`\u0010${infoText(info)}\n${payload.text}`, kept ? keptSlab : passingSlab));
  }
  const start = encoder.encode(`\u0011${infoText(info)}\n`);
  const envelope = new Uint8Array(start.length + payload.bytes.length);
  envelope.set(start);
  envelope.set(payload.bytes, start.length);
  return envelope;
}

function encode(text: string, slab: Slab): Uint8Array {
  // UTF-8 has at most 3 bytes for each unit of UTF-16.
  const most = text.length * 3;
  if (most > shortBytes) return encoder.encode(text);
  if (slab.used + most > slabBytes) {
    slab.bytes = new Uint8Array(slabBytes);
    slab.used = 0;
  }
  const start = slab.used;
  slab.used += encoder.encodeInto(text, slab.bytes.subarray(start)).written;
  return slab.bytes.subarray(start, slab.used);
}

/** The info read last: what one client publishes together mostly has the same. */
let latestInfo: { readonly text: string; readonly info: PublicationInfo } | undefined;

/** The parts of an envelope; undefined where it is none (a broker's data is not trusted). The data's JSON is not parsed again. Envelopes may share their info. */
export function decodeEnvelope(envelope: Uint8Array): { info: PublicationInfo; payload: Payload } | undefined {
  if (envelope === newest) return { info: newestInfo, payload: { format: "json", text: newestText } };
  try {
    if (envelope[0] === jsonFormat) {
      const text = decoder.decode(envelope);
      const end = text.indexOf("\n");
      const info = end === -1 ? undefined : readInfo(text.slice(1, end));
      return info && { info, payload: { format: "json", text: text.slice(end + 1) } };
    }
    const end = envelope[0] === binaryFormat ? envelope.indexOf(newline) : -1;
    const info = end === -1 ? undefined : readInfo(decoder.decode(envelope.subarray(1, end)));
    return info && { info, payload: { format: "binary", bytes: envelope.subarray(end + 1) } };
  } catch {
    return undefined;
  }
}

/** @throws SyntaxError when it is no JSON. */
function readInfo(text: string): PublicationInfo | undefined {
  if (latestInfo?.text === text) return latestInfo.info;
  const info = checkInfo(JSON.parse(text));
  if (info !== undefined) latestInfo = { text, info };
  return info;
}

/** The info written last, up to its key: what one client publishes together has the same. */
let written: PublicationInfo = { time: 0 };
let writtenText = `{"time":0`;

/** As `JSON.stringify` writes it, for the names in this order. */
function infoText(info: PublicationInfo): string {
  const { client, user, time, key } = info;
  if (time !== written.time || client !== written.client || user !== written.user) {
    written = info;
    writtenText = `{"time":${time}`;
    if (client !== undefined) writtenText += `,"client":${JSON.stringify(client)}`;
    if (user !== undefined) writtenText += `,"user":${JSON.stringify(user)}`;
  }
  return key === undefined ? `${writtenText}}` : `${writtenText},"key":${JSON.stringify(key)}}`;
}

function checkInfo(value: unknown): PublicationInfo | undefined {
  if (typeof value !== "object" || value === null) return undefined;
  const { client, user, time, key } = value as Record<string, unknown>;
  if (!Number.isSafeInteger(time)) return undefined;
  for (const text of [client, user, key]) if (text !== undefined && typeof text !== "string") return undefined;
  return value as PublicationInfo;
}
