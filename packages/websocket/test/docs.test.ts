import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { errorTable } from "../src/core/errors.ts";
import { compressionIntegers } from "../src/node/compression-options.ts";
import { integerOptions } from "../src/node/options.ts";

const page = readFileSync(new URL("../../../docs/websocket.md", import.meta.url), "utf8");

/** The rows of the tables below a heading, without code marks, as far as `columns`. */
function rows(heading: string, columns: number): string[][] {
  const section = page.split(/^## /m).find((text) => text.startsWith(heading)) ?? "";
  return section
    .split("\n")
    .filter((line) => line.startsWith("| `"))
    .map((line) =>
      line
        .split("|")
        .slice(1, columns + 1)
        .map((cell) => cell.replaceAll("`", "").trim()),
    );
}

const ranges = (options: object): string[][] =>
  Object.entries(options as typeof integerOptions).map(([name, { least, most, standard }]) =>
    [name, least, most, standard].map(String),
  );

test("docs/websocket.md has exactly the options there are, with their ranges and defaults", () => {
  expect(rows("Options", 4)).toEqual(ranges(integerOptions));
});

test("and those of compression", () => {
  expect(rows("Compression", 4)).toEqual(ranges(compressionIntegers));
});

test("and exactly the errors there are, with their close codes", () => {
  expect(rows("Errors", 2)).toEqual(
    Object.entries(errorTable).map(([code, [closeCode]]) => [code, closeCode === 0 ? "" : String(closeCode)]),
  );
});
