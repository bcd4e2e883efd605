import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { clientIntegerOptions } from "../src/node/client-options.ts";

test("docs/websocket.md has the client's own options, with their ranges and defaults", () => {
  const page = readFileSync(new URL("../../../docs/websocket.md", import.meta.url), "utf8");
  const section = page.split(/^## /m).find((text) => text.startsWith("The client")) ?? "";
  const rows = section.split("\n").filter((line) => line.startsWith("| `"));
  expect(rows.map((row) => row.replaceAll("`", "").split(" | ").slice(0, 4).join(" "))).toEqual(
    Object.entries(clientIntegerOptions).map(
      ([name, { least, most, standard }]) => `| ${name} ${least} ${most} ${standard}`,
    ),
  );
});
