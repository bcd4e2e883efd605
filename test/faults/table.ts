/** The table of docs/reliability.md: written by `npm run test:faults`, read again so that a partial run replaces only its own rows. */
import { brokerKinds, type BrokerName } from "./brokers.ts";
import type { Result } from "./cell.ts";
import { faults, type FaultName } from "./faults.ts";

export const markers = ["<!-- faults: written by npm run test:faults -->", "<!-- /faults -->"] as const;

const columns = [
  "fault",
  "backplane",
  "sent",
  "acked",
  "delivered",
  "lost",
  "doubled",
  "forgotten",
  "told",
  "seconds to heal",
  "promises broken",
] as const;

type Key = `${FaultName} ${BrokerName}`;
/** Every row there is, in the table's order. */
const keys: readonly Key[] = (Object.keys(faults) as FaultName[]).flatMap((fault) =>
  (Object.keys(brokerKinds) as BrokerName[]).map((backplane): Key => `${fault} ${backplane}`),
);

function line(cells: readonly (string | number)[]): string {
  return `| ${cells.join(" | ")} |`;
}

export const header: string = `${line(columns)}\n${line(columns.map((_, i) => (i < 2 ? "---" : "---:")))}`;

export function rowOf({ fault, backplane, counts, heal, broken }: Result): string {
  const { sent, acked, delivered, lost, doubled, forgotten, told } = counts;
  const numbers = [sent, acked, delivered, lost, doubled, forgotten, told];
  return line([fault, backplane, ...numbers, heal === undefined ? "never" : heal.toFixed(1), broken.length]);
}

/** Rows by what they are about. @throws when a line is not of this table. */
export function readRows(table: string): Map<Key, string> {
  const rows = new Map<Key, string>();
  for (const row of table.trim().split("\n").slice(2)) {
    const cells = row
      .split("|")
      .slice(1, -1)
      .map((cell) => cell.trim());
    const key = keys.find((known) => known === `${cells[0] ?? ""} ${cells[1] ?? ""}`);
    if (key === undefined || cells.length !== columns.length) throw new Error(`not a row of the table: ${row}`);
    rows.set(key, row);
  }
  return rows;
}

export function tableOf(rows: ReadonlyMap<Key, string>): string {
  const known = keys.flatMap((key) => rows.get(key) ?? []);
  return [header, ...known].join("\n");
}

/** What lies between the markers. @throws when there are none. */
export function tableIn(document: string): { readonly start: number; readonly end: number; readonly text: string } {
  const [begin, finish] = markers;
  const start = document.indexOf(begin) + begin.length;
  const end = document.indexOf(finish);
  if (start < begin.length || end < start) throw new Error(`no ${begin} … ${finish}`);
  return { start, end, text: document.slice(start, end) };
}

export function withResults(document: string, results: readonly Result[]): string {
  const { start, end, text } = tableIn(document);
  const rows = readRows(text);
  for (const result of results) rows.set(`${result.fault} ${result.backplane}`, rowOf(result));
  return `${document.slice(0, start)}\n${tableOf(rows)}\n${document.slice(end)}`;
}
