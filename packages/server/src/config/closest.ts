/** `; did you mean X?` for the name that is at most a few edits away, else nothing. */
export function closest(name: string, names: Iterable<string>): string {
  let best: string | undefined;
  let least = Math.max(2, Math.floor(name.length / 3)) + 1;
  for (const other of names) {
    const edits = distance(name, other);
    if (edits < least) [best, least] = [other, edits];
  }
  return best === undefined ? "" : `; did you mean ${best}?`;
}

/** Levenshtein's distance, with one row of its table. */
function distance(a: string, b: string): number {
  const row = Array.from({ length: b.length + 1 }, (_, at) => at);
  for (let i = 1; i <= a.length; i++) {
    let diagonal = row[0] as number;
    row[0] = i;
    for (let j = 1; j <= b.length; j++) {
      const above = row[j] as number;
      const changed = diagonal + (a[i - 1] === b[j - 1] ? 0 : 1);
      row[j] = Math.min(changed, above + 1, (row[j - 1] as number) + 1);
      diagonal = above;
    }
  }
  return row[b.length] as number;
}
