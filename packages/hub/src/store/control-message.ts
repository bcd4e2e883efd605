/** A control message with its sender: `<bytes of the sender's name> <sender><message>`. */
import type { InstanceId } from "../backplane.ts";

const space = 0x20;
const encoder = new TextEncoder();
const decoder = new TextDecoder();

export function writeControl(from: InstanceId, message: Uint8Array): Uint8Array {
  const sender = encoder.encode(from);
  const head = encoder.encode(`${sender.length} `);
  const all = new Uint8Array(head.length + sender.length + message.length);
  all.set(head);
  all.set(sender, head.length);
  all.set(message, head.length + sender.length);
  return all;
}

/** Undefined when it is anything else. */
export function readControl(all: Uint8Array): { readonly from: InstanceId; readonly message: Uint8Array } | undefined {
  const end = all.indexOf(space);
  if (end < 1 || end > 3) return undefined;
  const length = Number(decoder.decode(all.subarray(0, end)));
  const start = end + 1;
  if (!(length >= 1) || start + length > all.length) return undefined;
  return { from: decoder.decode(all.subarray(start, start + length)), message: all.subarray(start + length) };
}
