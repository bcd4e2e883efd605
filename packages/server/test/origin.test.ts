import { describe, expect, test } from "vitest";
import { originPolicy, parseOrigin } from "../src/origin.ts";
import { proxies } from "../src/proxies.ts";

const ask = (
  origin: string | undefined,
  headers: Record<string, string>,
  {
    allowed = [],
    trusted = [],
    from = "203.0.113.9",
    secure = false,
  }: { allowed?: string[]; trusted?: string[]; from?: string; secure?: boolean } = {},
): boolean => originPolicy(allowed, proxies(trusted))(origin, { headers, remoteAddress: from, secure });

describe("without an allow-list: the same host and port", () => {
  test.each([
    [undefined, "example.com", false, true],
    ["http://example.com", "example.com", false, true],
    ["HTTP://EXAMPLE.com", "Example.COM", false, true],
    ["http://example.com", "example.com:80", false, true],
    ["http://example.com:8080", "example.com:8080", false, true],
    ["https://example.com", "example.com", true, true],
    ["https://example.com", "example.com:443", true, true],
    ["https://example.com", "example.com", false, true], // TLS ends at a proxy in front
    ["http://[::1]:8080", "[::1]:8080", false, true],
    ["http://example.com:8080", "example.com", false, false],
    ["http://example.com", "example.com:8080", false, false],
    ["http://example.com", "example.com", true, false], // a page without TLS, which anyone on its way can change
    ["http://example.com.evil.test", "example.com", false, false],
    ["http://evil-example.com", "example.com", false, false],
    ["http://localhost:8080", "127.0.0.1:8080", false, false],
    ["null", "example.com", false, false],
    ["", "example.com", false, false],
    ["file://", "example.com", false, false],
    ["http://user@example.com", "example.com", false, false],
    ["http://example.com/", "example.com", false, false],
    ["http://example.com, http://example.com", "example.com", false, false],
    ["http://example.com:99999", "example.com:99999", false, false],
  ] as [string | undefined, string, boolean, boolean][])("%s to %s (TLS: %s): %s", (origin, host, secure, good) => {
    expect(ask(origin, { host }, { secure })).toBe(good);
  });
  test("without a Host header no origin is the same", () => {
    expect(ask("http://example.com", {})).toBe(false);
  });
  test("HTTP/2 names the host in :authority", () => {
    expect(ask("https://example.com", { ":authority": "example.com" }, { secure: true })).toBe(true);
  });
});

describe("with an allow-list: exactly its origins", () => {
  const allowed = ["https://app.example", "http://localhost:5173"];
  test.each([
    ["https://app.example", true],
    ["https://app.example:443", true],
    ["http://app.example", false],
    ["https://app.example:8443", false],
    ["https://sub.app.example", false],
    ["https://app.example.evil.test", false],
    ["http://localhost:5173", true],
    ["http://own.example", false],
    ["null", false],
  ])("%s: %s", (origin, good) => {
    expect(ask(origin, { host: "own.example" }, { allowed })).toBe(good);
  });
});

describe("forwarded headers", () => {
  const headers = { host: "10.0.0.5:8080", "x-forwarded-host": "example.com", "x-forwarded-proto": "https" };
  test("count from a trusted proxy", () => {
    expect(ask("https://example.com", headers, { trusted: ["10.0.0.0/8"], from: "10.1.2.3" })).toBe(true);
    expect(ask("https://example.com", headers, { trusted: ["10.0.0.0/8"], from: "::ffff:10.1.2.3" })).toBe(true);
    expect(ask("http://example.com", headers, { trusted: ["10.0.0.0/8"], from: "10.1.2.3" })).toBe(false);
  });
  test("count for nothing from anybody else", () => {
    expect(ask("https://example.com", headers)).toBe(false);
    expect(ask("https://example.com", headers, { trusted: ["10.0.0.0/8"] })).toBe(false);
  });
  test("the client's address is the last in the chain that no trusted proxy has", () => {
    const chain = (forwarded: string | undefined, from: string, trusted = ["10.0.0.0/8", "fd00::/8"]): string =>
      proxies(trusted).client({
        headers: forwarded === undefined ? {} : { "x-forwarded-for": forwarded },
        remoteAddress: from,
        secure: false,
      });
    expect(chain("1.1.1.1, 198.51.100.7, 10.9.9.9", "10.0.0.1")).toBe("198.51.100.7");
    expect(chain("198.51.100.7", "::ffff:10.0.0.1")).toBe("198.51.100.7");
    expect(chain("2001:db8::1", "fd00::1")).toBe("2001:db8::1");
    expect(chain("198.51.100.7", "203.0.113.9")).toBe("203.0.113.9");
    expect(chain("198.51.100.7", "10.0.0.1", [])).toBe("10.0.0.1");
    expect(chain("not an address", "10.0.0.1")).toBe("10.0.0.1");
    expect(chain(undefined, "10.0.0.1")).toBe("10.0.0.1");
    expect(chain("10.0.0.2", "10.0.0.1")).toBe("10.0.0.2");
  });
});

test("an allow-list's entries are normalized", () => {
  expect(parseOrigin("HTTPS://Example.com:443")?.text).toBe("https://example.com");
  expect(parseOrigin("chrome-extension://abcdef")?.text).toBe("chrome-extension://abcdef");
  for (const bad of [
    "null",
    "*",
    "example.com",
    "https://",
    "https://a b",
    "https://a/b",
    "https://*.a",
    "javascript:1",
  ])
    expect(parseOrigin(bad), bad).toBeUndefined();
});
