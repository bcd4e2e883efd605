import { describe, expect, test } from "vitest";
import { textsFor } from "../src/page/texts.ts";
import { timeWords } from "../src/page/time.ts";

describe("language", () => {
  test.each([
    [["de-AT", "en"], "de"],
    [["fr", "de"], "de"],
    [["en-GB", "de"], "en"],
    [["fr", "it"], "en"],
    [[], "en"],
  ] as const)("%j reads %s", (languages, expected) => {
    expect(textsFor(languages).language).toBe(expected);
  });
  test("both languages say everything: no text is missing or forgotten in translation", () => {
    const [en, de] = [textsFor(["en"]), textsFor(["de"])];
    const plain = (texts: object): string[] =>
      Object.entries(texts).flatMap(([key, value]: [string, unknown]) =>
        typeof value === "string"
          ? [`${key}=${value}`]
          : typeof value === "object" && value !== null
            ? plain(value)
            : [],
      );
    const same = plain(en).filter((text) => plain(de).includes(text));
    expect(same).toEqual(["name=Name", "live=Live", "offline=Offline"]);
  });
});

describe("readable time", () => {
  const now = Date.UTC(2026, 10, 22, 12);
  const words = timeWords("en", "just now");
  const german = timeWords("de", "gerade eben");
  test.each([
    [0, "just now"],
    [-60, "just now"],
    [59, "just now"],
    [60, "1 minute ago"],
    [119, "1 minute ago"],
    [3599, "59 minutes ago"],
    [3600, "1 hour ago"],
    [86_399, "23 hours ago"],
    [86_400, "yesterday"],
    [6 * 86_400, "6 days ago"],
  ])("%i s ago reads %s", (seconds, expected) => {
    expect(words.relative(now - seconds * 1000, now)).toBe(expected);
  });
  test("after a week it is the date", () => {
    expect(words.relative(now - 7 * 86_400_000, now)).toMatch(/November 15, 2026/);
    expect(german.relative(now - 7 * 86_400_000, now)).toMatch(/15\. November 2026/);
  });
  test("the exact time has day and second", () => {
    expect(german.exact(now)).toMatch(/Sonntag, 22\. November 2026.*\d\d:\d\d:\d\d/);
  });
});
