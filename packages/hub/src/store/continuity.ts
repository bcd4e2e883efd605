import type { Item, Position } from "../backplane.ts";

/** Whether these are all of the first items after a position, with no hole before or between: only where offsets are contiguous. */
export function follows(items: readonly Item[], after: Position, head: Position): boolean {
  let expected = after.offset + 1;
  for (const item of items) if (item.offset !== expected++) return false;
  return items.length > 0 || after.offset === head.offset;
}

/** The newest items without a hole between. */
export function endOf(items: readonly Item[]): readonly Item[] {
  let start = items.length;
  while (start > 1 && items[start - 2]?.offset === (items[start - 1]?.offset ?? 0) - 1) start--;
  return items.slice(Math.max(0, start - 1));
}
