import { describe, expect, test } from "vitest";
import type { EntriesPage, Entry } from "../src/entry.ts";
import type { EntryStore } from "../src/server/entry-store.ts";
import { serveEntries } from "../src/server/routes.ts";

type Parameters3 = Parameters<typeof serveEntries>;
type Handler = (request: { query: unknown }, reply: Reply) => Promise<unknown>;
interface Reply {
  status: number;
  headers: Record<string, string>;
  header(name: string, value: string): Reply;
  code(status: number): Reply;
  send(body: unknown): unknown;
}

const entry = (id: number): Entry => ({ id, name: "n", message: "m", time: id });

/** Asks `GET /entries` of a server of which only what the route uses is there. */
async function ask(
  query: Readonly<Record<string, string | undefined>>,
  parts: { position?: () => Promise<unknown>; list?: EntryStore["list"] } = {},
): Promise<{ status: number; body: unknown; order: string[]; warnings: string[] }> {
  const order: string[] = [];
  const warnings: string[] = [];
  let handler: Handler | undefined;
  serveEntries(
    {
      position: () => {
        order.push("position");
        return parts.position?.() ?? Promise.resolve({ epoch: "e", offset: 7 });
      },
    } as unknown as Parameters3[0],
    { get: (_path: string, given: Handler) => void (handler = given) } as unknown as Parameters3[1],
    {
      add: () => Promise.reject(new Error("not here")),
      list: (range) => {
        order.push(`list ${JSON.stringify(range)}`);
        return parts.list?.(range) ?? Promise.resolve(Array.from({ length: range.limit }, (_, at) => entry(99 - at)));
      },
    },
    (message) => warnings.push(message),
  );
  const reply: Reply = {
    status: 200,
    headers: {},
    header(name, value) {
      this.headers[name] = value;
      return this;
    },
    code(status) {
      this.status = status;
      return this;
    },
    send: (body) => body,
  };
  const body = await handler?.({ query }, reply);
  expect(reply.headers["cache-control"]).toBe("no-store");
  return { status: reply.status, body, order, warnings };
}

describe("GET /entries", () => {
  test("reads the position before the entries", async () => {
    const { body, order } = await ask({ limit: "2" });
    expect(order).toEqual(["position", 'list {"limit":3}']);
    expect(body).toEqual({
      entries: [entry(99), entry(98)],
      older: true,
      position: { epoch: "e", offset: 7 },
    } satisfies EntriesPage);
  });

  test("a page of older entries needs no position", async () => {
    const { body, order } = await ask({ before: "50" }, { list: () => Promise.resolve([entry(1)]) });
    expect(order).toEqual(['list {"before":50,"limit":21}']);
    expect(body).toEqual({ entries: [entry(1)], older: false, position: null });
  });

  test("entries can be read while the backplane is away; the log says so", async () => {
    const { body, warnings } = await ask({}, { position: () => Promise.reject(new Error("redis is gone")) });
    expect(body).toMatchObject({ position: null, older: true });
    expect(warnings).toEqual(["the channel's position is not known: redis is gone"]);
  });

  test.each([
    [{ before: "x" }, "before"],
    [{ before: "-1" }, "before"],
    [{ before: "1e300" }, "before"],
    [{ limit: "0" }, "limit"],
    [{ limit: "101" }, "limit"],
  ])("%j is refused by name, before anything is read", async (query, wrong) => {
    const { status, body, order } = await ask(query);
    expect([status, body]).toEqual([400, { error: expect.stringMatching(new RegExp(`^${wrong}: `)) }]);
    expect(order).toEqual([]);
  });

  test("without the database it is 503, and the log says why", async () => {
    const { status, body, warnings } = await ask({}, { list: () => Promise.reject(new Error("connection refused")) });
    expect([status, body]).toEqual([503, { error: "the entries cannot be read now" }]);
    expect(warnings).toEqual(["entries could not be read: connection refused"]);
  });
});
