import { describe, expect, test } from "vitest";
import { createWebSocketServer } from "../src/index.ts";
import type { ServerOptions } from "../src/index.ts";
import { integerOptions } from "../src/node/options.ts";

describe("options", () => {
  test.each(Object.entries(integerOptions))("%s has a range", (name, { least, most }) => {
    for (const value of [least, most]) expect(() => createWebSocketServer({}, { [name]: value })).not.toThrow();
    for (const value of [least - 1, most + 1, 1.5, Number.NaN, Infinity, "1", null]) {
      expect(() => createWebSocketServer({}, { [name]: value })).toThrow(
        expect.objectContaining({ code: "INVALID_OPTION", message: expect.stringContaining(name) as string }),
      );
    }
  });

  test.each([
    { maxMesage: 1 },
    { overflow: "wait" },
    { internals: 1 },
    { compression: 1 },
    { compression: { level: 0 } },
    { compression: { windows: 9 } },
    { compression: { contextTakeover: "yes" } },
    { constructor: 1 },
  ] as unknown as ServerOptions[])("%o is refused by name", (options) => {
    expect(() => createWebSocketServer({}, options)).toThrow(expect.objectContaining({ code: "INVALID_OPTION" }));
  });
});
