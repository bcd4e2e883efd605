/**
 * What travels over Pub/Sub. A publication is `<offset> <epoch> <data>`, with offset 0 and no epoch when it has no history;
 * a control message is `<bytes of the sender's name> <sender><message>`. Everything that arrives is untrusted: what does not parse is undefined.
 */
import type { InstanceId, Item } from "@zuruf/hub";

const space = 0x20;

/** Epochs are ours: base64url of random bytes. */
const epochPattern = /^[A-Za-z0-9_-]{1,64}$/;
export function isEpoch(text: string): boolean {
  return epochPattern.test(text);
}

/** A safe integer ≥ 0 in decimal, or undefined. */
export function readOffset(text: string): number | undefined {
  if (!/^\d{1,16}$/.test(text)) return undefined;
  const offset = Number(text);
  return Number.isSafeInteger(offset) ? offset : undefined;
}

export function readAnnouncement(message: Buffer): Item | undefined {
  const first = message.indexOf(space);
  if (first < 1 || first > 16) return undefined;
  const second = message.indexOf(space, first + 1);
  if (second === -1 || second - first > 65) return undefined;
  const offset = readOffset(message.toString("latin1", 0, first));
  if (offset === undefined) return undefined;
  const epoch = message.toString("latin1", first + 1, second);
  if (offset === 0 ? epoch !== "" : !isEpoch(epoch)) return undefined;
  return { epoch, offset, data: message.subarray(second + 1) };
}

const withoutHistory = Buffer.from("0  ");
export function announceWithoutHistory(data: Uint8Array): Buffer {
  return Buffer.concat([withoutHistory, data]);
}

export function writeControl(from: InstanceId, message: Uint8Array): Buffer {
  const sender = Buffer.from(from);
  return Buffer.concat([Buffer.from(`${sender.length} `), sender, message]);
}

export function readControl(message: Buffer): { readonly from: InstanceId; readonly message: Uint8Array } | undefined {
  const end = message.indexOf(space);
  if (end < 1 || end > 3) return undefined;
  const length = readOffset(message.toString("latin1", 0, end));
  const start = end + 1;
  if (length === undefined || length === 0 || start + length > message.length) return undefined;
  return { from: message.toString("utf8", start, start + length), message: message.subarray(start + length) };
}
