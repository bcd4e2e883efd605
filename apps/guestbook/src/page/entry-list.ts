import type { Entry } from "../entry.ts";

/** Puts entries into a list that is newest first, each id once; what is there already stays. Returns the same list when nothing is new. */
export function withEntries(list: readonly Entry[], more: readonly Entry[]): readonly Entry[] {
  const known = new Set(list.map(({ id }) => id));
  const fresh = more.filter(({ id }) => !known.has(id) && known.add(id));
  return fresh.length === 0 ? list : [...list, ...fresh].sort((a, b) => b.id - a.id);
}

/**
 * Puts a newly read first page over the list. Where the page reaches down to what is known they join;
 * otherwise unknown entries may lie between them, and the list begins anew with the page.
 */
export function withNewestPage(
  list: readonly Entry[],
  page: { readonly entries: readonly Entry[]; readonly older: boolean },
): { readonly list: readonly Entry[]; readonly joined: boolean } {
  const oldest = page.entries.at(-1);
  const newest = list[0];
  const joined = newest !== undefined && (!page.older || oldest === undefined || oldest.id <= newest.id);
  return { list: joined ? withEntries(list, page.entries) : withEntries([], page.entries), joined };
}
