/**
 * Publications that were stored together: their lengths in decimal with a space between, a newline, and their data one after the other.
 * The log and the announcements have them in this form; both come from a broker, so they are checked.
 */
import type { Item } from "@zuruf/hub";
import { isEpoch, readOffset } from "@zuruf/hub/store";

const newline = 0x0a;
const space = 0x20;
const [zero, nine] = [0x30, 0x39];
/** More bytes than any block has. */
const mostDigits = 10;
/** Digits and spaces before the data, of as many publications as go together: more is no block. */
const mostHeader = 4096;

interface Sized {
  readonly data: Uint8Array;
}

export function writeBlock(publications: readonly Sized[]): Buffer {
  let header = "";
  let bytes = 0;
  for (const { data } of publications) {
    header += header === "" ? `${data.byteLength}` : ` ${data.byteLength}`;
    bytes += data.byteLength;
  }
  const block = Buffer.allocUnsafe(header.length + 1 + bytes);
  let end = block.write(header, 0, "latin1");
  block[end++] = newline;
  for (const { data } of publications) {
    block.set(data, end);
    end += data.byteLength;
  }
  return block;
}

/** Before the block in the announcement of what has no history. */
export const noPosition = "0  ";

/** The data of each; undefined when it is anything else. They are views. */
export function readBlock(block: Buffer, start: number = 0): Buffer[] | undefined {
  const end = block.indexOf(newline, start);
  if (end === -1 || end - start > mostHeader) return undefined;
  const all: Buffer[] = [];
  let at = end + 1;
  // Digit by digit: a text for each number would cost as much as all the rest.
  let [length, digits] = [0, 0];
  for (let i = start; i <= end; i++) {
    const byte = block[i] ?? newline;
    if (byte >= zero && byte <= nine && digits < mostDigits) {
      length = length * 10 + byte - zero;
      digits++;
      continue;
    }
    if (digits === 0 || (byte !== space && byte !== newline) || at + length > block.length) return undefined;
    all.push(block.subarray(at, at + length));
    at += length;
    length = digits = 0;
  }
  return at === block.length ? all : undefined;
}

/** `<offset of the first> <epoch> <block>`; offset 0 and no epoch when they have no history. Undefined when it is anything else. */
export function readAnnouncement(message: Buffer): Item[] | undefined {
  const first = message.indexOf(space);
  if (first < 1 || first > 16) return undefined;
  const second = message.indexOf(space, first + 1);
  if (second === -1 || second - first > 65) return undefined;
  const offset = readOffset(message.toString("latin1", 0, first));
  const epoch = message.toString("latin1", first + 1, second);
  if (offset === undefined || (offset === 0 ? epoch !== "" : !isEpoch(epoch))) return undefined;
  const block = readBlock(message, second + 1);
  return block?.map((data, i) => ({ epoch, offset: offset === 0 ? 0 : offset + i, data }));
}
