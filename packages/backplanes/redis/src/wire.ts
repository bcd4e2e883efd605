/**
 * What travels over Pub/Sub: `<offset> <epoch> <data>`, with offset 0 and no epoch when a publication has no history.
 * Everything that arrives is untrusted: what does not parse is undefined.
 */
import type { Item } from "@zuruf/hub";
import { isEpoch, readOffset } from "@zuruf/hub/store";

const space = 0x20;

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
