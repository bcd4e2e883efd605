/** UTF-16 units of JSON in one control message. As UTF-8 that is at most three times as many bytes: less than any broker's bound (NATS: 1 MiB). */
const partSize = 128 * 1024;

/** The items in order, in lists that each fit one control message; none where there are no items. */
export function* inParts<T>(items: Iterable<T>): Generator<T[]> {
  let part: T[] = [];
  let size = 0;
  for (const item of items) {
    const length = JSON.stringify(item).length + 1;
    if (size + length > partSize && part.length > 0) {
      yield part;
      part = [];
      size = 0;
    }
    part.push(item);
    size += length;
  }
  if (part.length > 0) yield part;
}
