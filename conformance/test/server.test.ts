import type { ServerOptions } from "@zuruf/websocket";
import { afterAll, beforeAll, describe, expect, test } from "vitest";

import { liveCases, type Ran, runCases } from "../live.ts";
import { type Echo, startEcho } from "./echo.ts";

const carriers: readonly (readonly [string, boolean, ServerOptions])[] = [
  ["HTTP/1.1", false, {}],
  ["HTTP/1.1, without Node's internals", false, { internals: false }],
  ["HTTP/1.1 over TLS", true, {}],
];

describe.each(carriers)("our server over %s", (_name, tls, options) => {
  let echo: Echo;
  let results: Ran[];

  beforeAll(async () => {
    echo = await startEcho(options, tls);
    results = await runCases({ url: new URL(echo.url), insecure: tls, timeout: 5000 }, liveCases());
  });
  afterAll(() => echo.close());

  test("passes every case", () => {
    const failed = results.filter(({ verdict }) => verdict === "failed");
    expect(failed.map(({ id, section, detail }) => `${id} (${section}): ${detail}`)).toEqual([]);
  });

  test("tells why it fails a connection, and loses nothing that came before", () => {
    const vague = results.filter(
      ({ verdict, detail, id }) => verdict === "passed" && detail !== "" && !id.startsWith("offer"),
    );
    expect(vague.map(({ id, detail }) => `${id}: ${detail}`)).toEqual([]);
  });

  test("runs the cases that it says it runs", () => {
    const skipped = results.filter(({ verdict }) => verdict === "skipped");
    // Without compression, exactly the cases of RFC 7692 that need it agreed.
    expect(
      skipped.filter(({ section }) => !section.startsWith("RFC 7692") && !section.startsWith("RFC 6455 §9.1")),
    ).toEqual([]);
    expect(results.length - skipped.length).toBeGreaterThan(300);
  });
});
