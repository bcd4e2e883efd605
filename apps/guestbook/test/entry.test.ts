import { readFile } from "node:fs/promises";
import { describe, expect, test } from "vitest";
import { flawOf, lengthOf, limits, tidyMessage, tidyName } from "../src/entry.ts";
import { parseDraft } from "../src/server/draft.ts";
import { guestbookErrors } from "../src/server/errors.ts";

describe("tidying", () => {
  test("a name becomes one line without control characters", () => {
    expect(tidyName("  Ada\n\tLovelace\u0000 ")).toBe("Ada Lovelace");
  });
  test("a message keeps its line breaks, and at most one empty line in a row", () => {
    expect(tidyMessage("\n a\r\nb \t\n\n\n\nc\u2028d\u0007e\u0000 ")).toBe("a\nb\n\nc\nd e");
  });
  test("half a surrogate pair, which is no text, is replaced; whole ones stay", () => {
    expect(tidyName("a\uD83D b😀")).toBe("a\uFFFD b😀");
    expect(tidyMessage("😀\uDE00")).toBe("😀\uFFFD");
  });
  test("joiners within emoji and the marks of scripts stay", () => {
    expect(tidyMessage("👩‍🚀 क्षि")).toBe("👩‍🚀 क्षि");
  });
});

describe("limits count code points", () => {
  test("an emoji counts one", () => {
    expect(lengthOf("😀😀")).toBe(2);
    expect(flawOf("name", "😀".repeat(limits.name))).toBeUndefined();
    expect(flawOf("name", "😀".repeat(limits.name + 1))).toBe("tooLong");
    expect(flawOf("message", "ä".repeat(limits.message))).toBeUndefined();
    expect(flawOf("message", "ä".repeat(limits.message + 1))).toBe("tooLong");
  });
  test.each(["", " ", "\u200B", "\u2060\u00A0", "\uFEFF"])("%j is empty", (text) => {
    expect(flawOf("name", tidyName(text))).toBe("empty");
  });
});

describe("what a client publishes", () => {
  test("is tidied, and other keys are dropped", () => {
    expect(parseDraft({ name: " Ada ", message: "hi\r\nyou ", id: 7 })).toEqual({
      draft: { name: "Ada", message: "hi\nyou" },
    });
  });
  test.each([
    [{ name: "", message: "x" }, "the name is empty"],
    [{ name: "x", message: "\n" }, "the message is empty"],
    [{ name: "x".repeat(51), message: "x" }, "the name is longer than 50 characters"],
    [{ name: "x", message: "x".repeat(501) }, "the message is longer than 500 characters"],
    [{ name: "x" }, "an entry is an object with a name and a message, both text"],
    [{ name: 1, message: "x" }, "an entry is an object with a name and a message, both text"],
    [null, "an entry is an object with a name and a message, both text"],
    ["x", "an entry is an object with a name and a message, both text"],
    [[], "an entry is an object with a name and a message, both text"],
  ])("%j is refused: %s", (data, wrong) => {
    expect(parseDraft(data)).toEqual({ wrong });
  });
});

test("the README lists the errors as they are", async () => {
  const readme = await readFile(new URL("../README.md", import.meta.url), "utf8");
  const listed = [...readme.matchAll(/^\| `(\w+)` \| (.+) \|$/gm)].map(([, code, meaning]) => [code, meaning]);
  expect(Object.fromEntries(listed)).toEqual(guestbookErrors);
});
