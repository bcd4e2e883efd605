import { readFile } from "node:fs/promises";
import { join, resolve } from "node:path";
import { describe, expect, test } from "vitest";
import { settle } from "../src/options.ts";

const root = resolve(import.meta.dirname, "../../..");
const guide = await readFile(join(root, "docs/client.md"), "utf8");

describe("docs/client.md", () => {
  const rows = [...guide.matchAll(/^\| `([\w.]+)` \| (.*?) \|/gm)]
    .slice(0, guide.slice(0, guide.indexOf("## States")).match(/^\| `/gm)?.length)
    .map(([, name = "", value = ""]) => [name, value] as const);

  test("lists exactly the options there are", async () => {
    const source = await readFile(join(root, "packages/client/src/options.ts"), "utf8");
    const declared = /interface ClientOptions \{([\s\S]*?)\n\}/.exec(source)?.[1] ?? "";
    const names = [...declared.matchAll(/readonly (\w+)\?:/g)].map(([, name]) => name);
    expect([...new Set(rows.map(([name]) => name.split(".")[0]))]).toEqual(names);
  });

  test("names the defaults that are", () => {
    const settings = settle({});
    const numbers = rows.filter(([, value]) => /^\d+$/.test(value));
    expect(Object.fromEntries(numbers.map(([name, value]) => [name, Number(value)]))).toEqual({
      timeout: settings.timeout,
      deadline: settings.deadline,
      "queue.publications": settings.queue.publications,
      "queue.bytes": settings.queue.bytes,
      "backoff.min": settings.backoff.min,
      "backoff.max": settings.backoff.max,
    });
  });
});
