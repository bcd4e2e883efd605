/** Several messages as one: the length of each (four bytes, the highest first) before its bytes. What a broker spends on a message is then spent once for all of them. */

export function writeFrames(messages: readonly Uint8Array[]): Uint8Array {
  const all = new Uint8Array(messages.reduce((sum, { length }) => sum + 4 + length, 0));
  const view = new DataView(all.buffer);
  let at = 0;
  for (const message of messages) {
    view.setUint32(at, message.length);
    all.set(message, at + 4);
    at += 4 + message.length;
  }
  return all;
}

/** The messages, as views; undefined when it is anything else, for it comes from a broker. */
export function readFrames(all: Uint8Array): Uint8Array[] | undefined {
  const view = new DataView(all.buffer, all.byteOffset, all.byteLength);
  const messages: Uint8Array[] = [];
  for (let at = 0; at < all.length;) {
    const start = at + 4;
    if (start > all.length) return undefined;
    at = start + view.getUint32(at);
    if (at > all.length) return undefined;
    messages.push(all.subarray(start, at));
  }
  return messages;
}
