/**
 * A publication with its place, for relays that carry bytes only: `<offset> <epoch> <data>`; offset 0 and no epoch when it has no history.
 * It comes from a broker, so it is checked.
 */
import type { Item, Position } from "../backplane.ts";
import { isEpoch, readOffset } from "./epoch-chain.ts";

const space = 0x20;
const encoder = new TextEncoder();
const decoder = new TextDecoder();

export function writeAnnouncement(position: Position | undefined, data: Uint8Array): Uint8Array {
  const head = encoder.encode(position === undefined ? "0  " : `${position.offset} ${position.epoch} `);
  const all = new Uint8Array(head.length + data.length);
  all.set(head);
  all.set(data, head.length);
  return all;
}

/** Undefined when it is anything else. The data is a view of `message`. */
export function readAnnouncement(message: Uint8Array): Item | undefined {
  const first = message.indexOf(space);
  if (first < 1 || first > 16) return undefined;
  const second = message.indexOf(space, first + 1);
  if (second === -1 || second - first > 65) return undefined;
  const offset = readOffset(decoder.decode(message.subarray(0, first)));
  if (offset === undefined) return undefined;
  const epoch = decoder.decode(message.subarray(first + 1, second));
  if (offset === 0 ? epoch !== "" : !isEpoch(epoch)) return undefined;
  return { epoch, offset, data: message.subarray(second + 1) };
}
