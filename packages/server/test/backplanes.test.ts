import { describe, expect, test } from "vitest";
import { knowsBackplane, openBackplane, redact } from "../src/backplanes.ts";

describe("backplanes by URL", () => {
  test.each([
    "memory",
    "redis://h",
    "rediss+sentinel://u:p@h1,h2/name",
    "redis+cluster://h1,h2",
    "postgres://h/db",
    "postgresql://h/db",
    "amqp://h",
    "nats://h1,h2",
    "nats://h+redis+cluster://h1,h2",
    "amqps://u:p+q@h/v+postgres://h/db",
  ])("%s", (name) => {
    expect(knowsBackplane(name)).toBe(true);
  });
  test.each(["", "mysql://h", "nats://h+redis://h+postgres://h"])("not %j", (name) => {
    expect(knowsBackplane(name)).toBe(false);
  });

  test("a relay and a store are composed: it keeps what the store keeps", async () => {
    expect((await openBackplane("amqp://h")).can.history).toBe(false);
    expect((await openBackplane("nats://h")).can).toMatchObject({ history: true, contiguous: false });
    expect((await openBackplane("nats://h+redis://h")).can).toMatchObject({ history: true, contiguous: true });
    await expect(openBackplane("nats://h+mysql://h")).rejects.toMatchObject({ code: "backplaneFailed" });
    await expect(openBackplane("redis://h+redis://h/x")).rejects.toMatchObject({ code: "backplaneFailed" });
  });

  test.each([
    ["redis://ada:secret@h:1/0?x=secret", "redis://h:1/0"],
    ["redis+sentinel://ada:secret@h1,h2/name", "redis+sentinel://h1,h2/name"],
    ["nats://ada:secret@h+redis://ada:secret@h", "nats://h+redis://h"],
    ["nats://ada:secret@h+what://ada:secret@h", "nats://h+what://h"],
  ])("%s is shown as %s", (url, shown) => {
    expect(redact(url)).toBe(shown);
  });
});
