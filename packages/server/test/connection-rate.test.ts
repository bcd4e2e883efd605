import { expect, test } from "vitest";
import { ConnectionRate } from "../src/connection-rate.ts";

test("an address opens a burst at once, then as many per second as the rate says", () => {
  let now = 1000;
  const rate = new ConnectionRate(10, 3, () => now);
  expect([1, 2, 3].map(() => rate.take("192.0.2.1"))).toEqual([0, 0, 0]);
  expect(rate.take("192.0.2.1")).toBe(100);
  expect(rate.take("192.0.2.2")).toBe(0);
  now += 99;
  expect(rate.take("192.0.2.1")).toBe(1);
  now += 1;
  expect(rate.take("192.0.2.1")).toBe(0);
  expect(rate.take("192.0.2.1")).toBe(100);
  now += 10_000;
  expect([1, 2, 3].map(() => rate.take("192.0.2.1"))).toEqual([0, 0, 0]);
  expect(rate.take("192.0.2.1")).toBeGreaterThan(0);
});

test("an IPv6 network of 64 bits counts as one", () => {
  const rate = new ConnectionRate(1, 1, () => 0);
  expect(rate.take("2001:db8:0:1::1")).toBe(0);
  expect(rate.take("2001:db8:0:1:ffff::2")).toBeGreaterThan(0);
  expect(rate.take("2001:db8::1:0:0:0:3")).toBeGreaterThan(0);
  expect(rate.take("2001:db8:0:2::1")).toBe(0);
  expect(rate.take("::1")).toBe(0);
});

test("0 is no limit", () => {
  const rate = new ConnectionRate(0, 1, () => 0);
  for (let i = 0; i < 100; i++) expect(rate.take("192.0.2.1")).toBe(0);
});
