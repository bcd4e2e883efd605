import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import {
  CloseCode,
  errorTable,
  maxChannelBytes,
  maxDepth,
  maxEpochBytes,
  maxKeyBytes,
  maxNameBytes,
  retryableErrors,
  whenToReturn,
} from "../src/index.ts";
import { shapes, type Shape } from "../src/shapes.ts";

const doc = readFileSync(new URL("../../../docs/protocol.md", import.meta.url), "utf8");

/** The cells of the table below a heading row. */
function table(head: string): string[][] {
  const lines = doc.split("\n");
  const start = lines.findIndex((line) => line.startsWith(`| ${head}`));
  expect(start, head).toBeGreaterThan(0);
  const rows = lines.slice(start + 2);
  const end = rows.findIndex((line) => !line.startsWith("|"));
  return rows.slice(0, end).map((line) =>
    line
      .slice(1, -1)
      .split("|")
      .map((cell) => cell.trim().replaceAll("`", "")),
  );
}

function row(type: string, { code, fields, options, last }: Shape): string[] {
  const field = ([name, kind]: readonly [string, string]): string => (name === kind ? name : `${name}: ${kind}`);
  const given = Object.entries(options ?? {}).map(
    ([name, [kind, tag, must]]) => `${tag} ${name}: ${kind}${must ? "" : "?"}`,
  );
  return [
    String(code),
    type,
    fields.map(field).join(", "),
    options === undefined ? "" : given.join(", ") || "none",
    last === undefined ? "" : last === "payload" ? "data" : field(last),
  ];
}

describe("docs/protocol.md lists exactly what the code has", () => {
  test("errors", () => {
    const retryable: ReadonlySet<string> = retryableErrors;
    const rows = Object.entries(errorTable).map(([code, meaning]) => [
      code,
      retryable.has(code) ? "yes" : "no",
      meaning,
    ]);
    expect(table("code | retryable")).toEqual(rows);
  });

  test("close codes, each in the range that its name belongs to", () => {
    expect(table("code | name").map(([code, name]) => [Number(code), name])).toEqual(
      Object.entries(CloseCode).map(([name, code]) => [code, name]),
    );
    const returns = (code: number): string => whenToReturn(code);
    expect([3999, 4000, 4399, 4400, 4699, 4700, 4999, 5000, 1000, 1006].map(returns)).toEqual([
      "later",
      "never",
      "never",
      "later",
      "later",
      "now",
      "now",
      "later",
      "later",
      "later",
    ]);
  });

  test("the binary layout", () => {
    expect(table("code | packet")).toEqual(Object.entries(shapes).map(([type, shape]) => row(type, shape)));
    const codes = Object.values(shapes).map(({ code }) => code);
    expect(new Set([1, ...codes]).size).toBe(codes.length + 1);
  });

  test("bounds", () => {
    const bounds = Object.fromEntries(table("what | bound").map(([what = "", bound = ""]) => [what, bound]));
    expect(bounds["channel name"]).toContain(`1–${maxChannelBytes} bytes`);
    expect(bounds["idempotency key"]).toBe(`1–${maxKeyBytes} bytes`);
    expect(bounds["method, receiver of a direct message"]).toBe(`1–${maxNameBytes} bytes`);
    expect(bounds["epoch"]).toBe(`1–${maxEpochBytes} bytes`);
    expect(Object.values(bounds)).toContain(String(maxDepth));
  });

  test("every word", () => {
    for (const { word } of Object.values(shapes)) expect(doc).toContain(`["${word}"`);
  });
});
