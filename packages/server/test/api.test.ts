import { afterEach, describe, expect, test } from "vitest";
import { PacketClient } from "../../../test/service/packet-client.ts";
import { operations } from "../src/api/operations.ts";
import { startService, type Service } from "../src/service.ts";

const key = "a key of 21 letters".replaceAll(" ", "-");
const services: Service[] = [];
afterEach(async () => {
  await Promise.all(services.splice(0).map((service) => service.close()));
});

async function start(): Promise<(path: string, body?: unknown, authorization?: string) => Promise<[number, unknown]>> {
  const service = await startService({
    port: 0,
    logLevel: "silent",
    drainWindow: 0,
    apiKey: key,
    channels: { "room:*": { history: { size: 10, ttl: "1h" }, presence: true } },
    app: (zuruf) => {
      zuruf.onConnect(({ token }) => (token === undefined ? undefined : { user: token }));
    },
  });
  services.push(service);
  return async (path, body, authorization = `Bearer ${key}`) => {
    const response = await fetch(`${service.url}/api/v1${path}`, {
      method: body === undefined ? "GET" : "POST",
      headers: { authorization, ...(body === undefined ? {} : { "content-type": "application/json" }) },
      ...(body === undefined ? {} : { body: typeof body === "string" ? body : JSON.stringify(body) }),
    });
    return [response.status, await response.json()];
  };
}
const url = (): string => services[0]?.url ?? "";
const refusal = (code: string): unknown => ({ error: expect.objectContaining({ code }) });

describe("the HTTP API", () => {
  test("publishes once per key, and reads it back", async () => {
    const ask = await start();
    const ada = await PacketClient.open(url(), { token: "ada" });
    await ada.answer(1);
    await ada.ask("subscribe", 2, "room:a", {});
    const first = await ask("/publish", { channel: "room:a", data: { n: 1 }, key: "one" });
    expect(first).toMatchObject([200, { position: { offset: 1 } }]);
    expect(await ask("/publish", { channel: "room:a", data: { n: 1 }, key: "one" })).toEqual(first);
    await ask("/publish", { channel: "room:a", data: null });
    expect((await ada.next(([word]) => word === "msg")).at(-1)).toEqual({ n: 1 });
    expect((await ada.next(([word]) => word === "msg")).at(-1)).toBeNull();
    const [, { publications, position }] = (await ask("/history?channel=room:a")) as [
      number,
      { publications: unknown[]; position: { epoch: string; offset: number } },
    ];
    expect(publications).toMatchObject([
      { offset: 1, data: { n: 1 } },
      { offset: 2, data: null },
    ]);
    expect(position.offset).toBe(2);
    expect(await ask(`/history?channel=room:a&epoch=${position.epoch}&after=1&limit=5`)).toMatchObject([
      200,
      { publications: [{ offset: 2 }], complete: true },
    ]);
    expect(await ask("/presence?channel=room:a")).toMatchObject([
      200,
      { members: 1, list: [{ member: "user:ada", connections: [{ client: expect.any(String) }] }] },
    ]);
    ada.close();
  });

  test("sends, lists and disconnects", async () => {
    const ask = await start();
    const ada = await PacketClient.open(url(), { token: "ada" });
    const [, , { client }] = (await ada.answer(1)) as [string, number, { client: string }];
    const sent = ask("/send", { to: "user:ada", data: "psst" });
    const direct = await ada.next(([word]) => word === "direct");
    expect(direct.at(-1)).toBe("psst");
    ada.send("received", direct[1]);
    expect(await sent).toEqual([200, { receipt: "delivered" }]);
    expect(await ask("/broadcast", { users: ["bob"], data: 1 })).toEqual([200, { receipts: { bob: "offline" } }]);
    expect(await ask("/connections")).toMatchObject([200, { items: [{ client, user: "ada" }] }]);
    await ada.ask("subscribe", 2, "room:b", {});
    expect(await ask("/channels")).toMatchObject([200, { items: [{ channel: "room:b", subscriptions: 1 }] }]);
    const { instance } = services[0]?.zuruf ?? { instance: "" };
    expect(await ask("/instances")).toEqual([200, { instance, instances: [instance] }]);
    expect(await ask("/disconnect", { user: "ada" })).toEqual([200, { connections: 1, missing: [] }]);
    expect((await ada.closed).code).toBe(4004);
  });

  test("refuses whoever has not the key", async () => {
    const ask = await start();
    for (const wrong of ["", "Bearer", `Bearer ${key}x`, key, `Basic ${key}`])
      expect(await ask("/instances", undefined, wrong)).toEqual([401, refusal("unauthorized")]);
    expect(await ask("/openapi.json", undefined, "")).toEqual([401, refusal("unauthorized")]);
  });

  test("names what is wrong", async () => {
    const ask = await start();
    expect(await ask("/publish", { channel: "room:a" })).toEqual([400, refusal("badRequest")]);
    expect(await ask("/publish", { channel: "room:a", data: 1, kye: "x" })).toEqual([400, refusal("badRequest")]);
    expect(await ask("/publish", "{")).toEqual([400, refusal("badRequest")]);
    expect(await ask("/publish", { channel: "nowhere", data: 1 })).toEqual([404, refusal("notFound")]);
    expect(await ask("/history?channel=room:a&after=1")).toEqual([400, refusal("badRequest")]);
    expect(await ask("/nothing")).toEqual([404, refusal("notFound")]);
    expect(await ask("/disconnect", { client: "a", user: "b" })).toEqual([400, refusal("badRequest")]);
  });

  test("describes every operation", async () => {
    const ask = await start();
    const [status, document] = (await ask("/openapi.json")) as [number, { paths: Record<string, object> }];
    expect(status).toBe(200);
    expect(Object.keys(document.paths)).toEqual(operations.map(({ path }) => path));
    expect(document.paths["/publish"]).toMatchObject({
      post: { requestBody: { content: { "application/json": { schema: { required: ["channel", "data"] } } } } },
    });
    expect(document.paths["/history"]).toMatchObject({
      get: { parameters: [{ name: "channel", in: "query", required: true }, {}, {}, {}, {}] },
    });
  });

  test("is off without a key", async () => {
    const service = await startService({ port: 0, logLevel: "silent" });
    services.push(service);
    expect((await fetch(`${service.url}/api/v1/instances`)).status).toBe(404);
  });
});
