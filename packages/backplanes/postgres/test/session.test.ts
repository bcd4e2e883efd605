import { setImmediate as turn } from "node:timers/promises";
import { expect, test } from "vitest";
import type { Driver } from "../src/connection.ts";
import { readSettings } from "../src/options.ts";
import { version } from "../src/schema.ts";
import { Session } from "../src/session.ts";

test("a connection that is made after another one failed is not left behind", async () => {
  const open: ((made: boolean) => void)[] = [];
  const destroyed: string[] = [];
  /** A server of the right version, whose connections after the first are made when the test says so. */
  class Client {
    readonly connection: { stream: { destroy(): void } };
    readonly #role: string;
    constructor({ application_name }: { application_name: string }) {
      this.#role = application_name.split(":").at(-1) ?? "";
      this.connection = { stream: { destroy: () => destroyed.push(this.#role) } };
    }
    on(): void {}
    connect(): Promise<void> {
      if (this.#role === "writer") return Promise.resolve();
      return new Promise((resolve, reject) => {
        open.push((made) => (made ? resolve() : reject(new Error("too many connections"))));
      });
    }
    query({ text }: { text: string }): Promise<{ rows: unknown[] }> {
      return Promise.resolve({ rows: [text.includes("max(version)") ? [`${version}`] : ["150000", "false", "there"]] });
    }
  }
  const settings = readSettings("postgres://127.0.0.1/zuruf", {});
  const events = { broken: () => undefined, hint: () => undefined };
  const session = Session.open({ Client } as unknown as Driver, settings, "a", events);
  await expect.poll(() => open.length).toBe(3);
  open[0]?.(false);
  await expect(session).rejects.toThrow("too many connections");
  expect(destroyed.sort()).toEqual(["questions", "writer"]);
  for (const make of open.slice(1)) make(true);
  await turn();
  expect(destroyed.sort()).toEqual(["fetcher", "listener", "questions", "writer"]);
});
