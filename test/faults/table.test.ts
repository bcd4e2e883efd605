import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { brokerKinds } from "./brokers.ts";
import { faults } from "./faults.ts";
import { readRows, tableIn, tableOf, withResults } from "./table.ts";

const document = readFileSync(join(import.meta.dirname, "../../docs/reliability.md"), "utf8");

describe("docs/reliability.md", () => {
  test("has the table as it is written, with every row there is, and no promise broken", () => {
    const { text } = tableIn(document);
    const rows = readRows(text);
    expect(text.trim()).toBe(tableOf(rows));
    expect(rows.size).toBe(Object.keys(faults).length * Object.keys(brokerKinds).length);
    for (const row of rows.values()) expect(row).toMatch(/\| 0 \|$/);
  });

  test("names every fault and every backplane", () => {
    for (const [name, { title }] of Object.entries(faults)) expect(document).toContain(`| \`${name}\` | ${title} |`);
    for (const [name, { title }] of Object.entries(brokerKinds))
      expect(document).toContain(`| \`${name}\` | ${title} |`);
  });

  test("takes new results in place of the old ones, and nothing else changes", () => {
    const counts = { sent: 1, acked: 1, delivered: 4, lost: 0, doubled: 0, forgotten: 0, told: 0 };
    const result = { fault: "kill", backplane: "postgres", counts, heal: 1.25, broken: [] } as const;
    const changed = withResults(document, [result]);
    expect(changed).toContain("| kill | postgres | 1 | 1 | 4 | 0 | 0 | 0 | 0 | 1.3 | 0 |");
    expect(changed.split("\n").length).toBe(document.split("\n").length);
    expect(() => readRows("head\n---\n| nonsense | postgres |")).toThrow("not a row");
  });
});
