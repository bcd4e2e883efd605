/**
 * A block is what one commit appended to one channel: the length of each publication (four bytes, the highest first) before its bytes.
 * Rows are what PostgreSQL spends its time on, and this makes them as few as there are channels, however many publications go together.
 */

/** Bytes of a block. */
export function lengthOf(publications: readonly { readonly data: Uint8Array }[]): number {
  return publications.reduce((sum, { data }) => sum + 4 + data.byteLength, 0);
}

/** Writes a block to a place that has room for it; returns where it ends. */
export function writeBlock(to: Buffer, start: number, publications: readonly { readonly data: Uint8Array }[]): number {
  let at = start;
  for (const { data } of publications) {
    to.set(data, to.writeUInt32BE(data.byteLength, at));
    at += 4 + data.byteLength;
  }
  return at;
}

/** The publications of a block, as views of it; what is not a block has none. */
export function readBlock(block: Buffer): Buffer[] {
  const publications: Buffer[] = [];
  for (let at = 0; at < block.length;) {
    const start = at + 4;
    at = start <= block.length ? start + block.readUInt32BE(at) : Infinity;
    if (at > block.length) return [];
    publications.push(block.subarray(start, at));
  }
  return publications;
}

/** How many bytes `readBytes` makes of this. */
export function lengthOfBytes(text: string): number {
  return Math.max(0, text.length / 2 - 1);
}

/** PostgreSQL's text form of bytea: `\x` and hexadecimal digits. */
export function readBytes(text: string): Buffer {
  return Buffer.from(text.slice(2), "hex");
}
