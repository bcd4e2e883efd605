import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import * as hub from "../src/index.ts";

const doc = readFileSync(new URL("../../../docs/hub.md", import.meta.url), "utf8");

/** First and second cells of the table below a heading row. */
function table(head: string): [string, string][] {
  const lines = doc.split("\n");
  const start = lines.findIndex((line) => line.startsWith(`| ${head}`));
  expect(start, head).toBeGreaterThan(0);
  const rows = lines.slice(start + 2);
  const cells = rows
    .slice(
      0,
      rows.findIndex((line) => !line.startsWith("|")),
    )
    .map((line) => line.split("|").map((cell) => cell.trim().replaceAll("`", "")));
  return cells.map(([, first = "", second = ""]) => [first, second]);
}

describe("docs/hub.md lists exactly what the code has", () => {
  test("limits and their defaults", () => {
    expect(table("limit | default")).toEqual(
      Object.entries(hub.defaultLimits).map(([name, value]) => [name, String(value)]),
    );
  });

  test("channel options", () => {
    const names = table("option | default").map(([name]) => name);
    const world =
      (options: object): (() => unknown) =>
      () =>
        new hub.Hub({
          backplane: hub.memoryBackplane(),
          instance: "x",
          clock: { now: () => 0, setTimeout: () => 0, clearTimeout: () => undefined },
          random: { bytes: (count) => new Uint8Array(count) },
          channels: { c: options },
        });
    expect(world({ nope: 1 })).toThrow(`options are ${names.join(", ")}`.replace("options are ", ""));
    expect(names).toHaveLength(9);
  });

  test("methods and hooks", () => {
    const known = new Set([...Object.getOwnPropertyNames(hub.Hub.prototype), "counters"]);
    const called = table("method |").flatMap(([cell]) => [...cell.matchAll(/(\w+)\(/g)].map(([, name = ""]) => name));
    const hooks = table("hook |").flatMap(([cell]) => cell.split(", "));
    expect([...called, ...hooks].filter((name) => !known.has(name))).toEqual([]);
    expect([...known].filter((name) => name.startsWith("on")).toSorted()).toEqual(hooks.toSorted());
  });

  test("the public names", () => {
    expect(Object.keys(hub).toSorted()).toMatchInlineSnapshot(`
      [
        "BackplaneError",
        "Hub",
        "MemoryBackplane",
        "MemoryBroker",
        "MemoryLog",
        "SharedMessages",
        "defaultLimits",
        "duration",
        "memoryBackplane",
      ]
    `);
  });
});
