import type { ServerOptions } from "@zuruf/websocket";
import { afterAll, beforeAll, describe, expect, test } from "vitest";

import { liveCases, type Ran, runCases } from "../live.ts";
import { type Carrier, type Echo, startEcho } from "./echo.ts";

const carriers: readonly (readonly [string, Carrier, ServerOptions])[] = [
  ["HTTP/1.1", "http", {}],
  ["HTTP/1.1, without Node's internals", "http", { internals: false }],
  ["HTTP/1.1 over TLS", "https", {}],
  ["HTTP/2", "http2", {}],
  ["HTTP/2 over TLS, compressing", "http2s", { compression: { threshold: 1 } }],
  ["HTTP/1.1, compressing", "http", { compression: { threshold: 1 } }],
  ["HTTP/1.1, compressing without Node's internals", "http", { compression: { threshold: 1 }, internals: false }],
  ["HTTP/1.1, compressing with context", "http", { compression: { threshold: 1, contextTakeover: true } }],
];

describe.each(carriers)("our server over %s", (_name, carrier, options) => {
  let echo: Echo;
  let results: Ran[];

  beforeAll(async () => {
    echo = await startEcho(options, carrier);
    results = await runCases(
      { url: new URL(echo.url), insecure: true, timeout: 5000, http2: carrier.startsWith("http2") },
      liveCases(),
    );
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
    const skipped = results.filter(
      ({ verdict, detail }) => verdict === "skipped" && detail !== "this handshake is HTTP/1.1's",
    );
    // Without compression, the cases that need it agreed; without context takeover, those that need a window to last.
    const wanted = skipped.filter(
      ({ section }) => !section.startsWith("RFC 7692") && !section.startsWith("RFC 6455 §9.1"),
    );
    expect(wanted).toEqual([]);
    const { compression } = options;
    if (compression === undefined) return;
    expect(skipped.filter(({ detail }) => !detail.includes("client_no_context_takeover"))).toEqual([]);
    expect(skipped.length).toBeLessThan(6);
  });
});
