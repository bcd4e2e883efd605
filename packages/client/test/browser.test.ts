/** The SDK's one file in real Chromium, on the real server, over a line that can be cut. */
import { readFile } from "node:fs/promises";
import { resolve } from "node:path";
import { startService, type Application, type Service } from "@zuruf/server";
import type { Browser, BrowserContext, Page } from "playwright-core";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test, vi } from "vitest";
import { hasChromium, launchChromium } from "../../../test/browser/chromium.ts";
import type { Channel, Client } from "../src/index.ts";
import { type Relay, startRelay } from "./relay.ts";

/** What the page below has. */
interface PageGlobals {
  client: Client;
  room: Channel;
  heard: unknown[];
  own: unknown[];
  recovered: boolean[];
  delays: number[];
}
declare const window: PageGlobals;

const html = `<!doctype html><meta charset="utf-8"><title>SDK</title><script type="module">
  import { createClient } from "/zuruf.js";
  const query = new URLSearchParams(location.search);
  const [user, random] = [query.get("user"), query.get("random")];
  const client = createClient("/ws", {
    backoff: { min: 200, max: 60000 }, heartbeat: 60000, ...(user && { token: () => user }), ...(random && { random: () => Number(random) }),
  });
  const room = client.channel(query.get("room"));
  Object.assign(globalThis, { client, room, heard: [], own: [], recovered: [], delays: [] });
  client.on("state", ({ retryIn }) => delays.push(retryIn ?? 0));
  room.on("publication", ({ data, own: mine }) => (heard.push(data), mine && own.push(data)));
  room.presence.on("change", () => {});
  room.on("subscribed", (event) => recovered.push(event.recovered));
  await room.subscribe();
</script>`;

vi.setConfig({ testTimeout: 40_000 });

describe.skipIf(!hasChromium)("in a browser", () => {
  let service: Service;
  let relay: Relay;
  let browser: Browser;
  let context: BrowserContext;
  /** One for each test: who was in another's is still present there for a while. */
  let room = "room:0";

  beforeAll(async () => {
    const sdk = await readFile(resolve(import.meta.dirname, "../dist/zuruf.js"), "utf8");
    const app: Application = (zuruf, http) => {
      zuruf.onConnect(({ token }) => (token === undefined ? undefined : { user: token }));
      zuruf.channel("room:*", { history: { size: 1000, ttl: "1h" }, publish: "anyone", presence: true });
      http.get("/page", (_, reply) => reply.type("text/html").send(html));
      http.get("/zuruf.js", (_, reply) => reply.type("text/javascript").send(sdk));
    };
    service = await startService({ port: 0, drainWindow: 0, app });
    relay = await startRelay(service.port);
    browser = await launchChromium();
  });
  afterAll(async () => {
    await browser?.close();
    await relay?.close();
    await service?.close();
  });
  beforeEach(async () => {
    relay.blocked = false;
    room = `room:${Number(room.slice(5)) + 1}`;
    context = await browser.newContext();
  });
  afterEach(() => context.close());

  async function open(more = ""): Promise<Page> {
    const page = await context.newPage();
    await page.goto(`http://127.0.0.1:${relay.port}/page?room=${room}${more}`);
    await page.waitForFunction(() => window.room?.state === "subscribed");
    return page;
  }
  const heard = (page: Page): Promise<unknown[]> => page.evaluate(() => window.heard);
  const untilConnected = (page: Page, connected = true): Promise<unknown> =>
    page.waitForFunction((wanted) => (window.client.state === "connected") === wanted, connected);

  test("comes back after a cut, with everything that was said meanwhile, each once", async () => {
    const page = await open();
    await service.zuruf.publish(room, "before");
    await expect.poll(() => heard(page)).toEqual(["before"]);
    relay.blocked = true;
    relay.cut();
    await untilConnected(page, false);
    for (const text of ["a", "b", "c"]) await service.zuruf.publish(room, text);
    relay.blocked = false;
    await page.waitForFunction(() => window.heard.length > 3);
    await service.zuruf.publish(room, "after");
    await page.waitForFunction(() => window.heard.length > 4);
    expect(await heard(page)).toEqual(["before", "a", "b", "c", "after"]);
    expect(await page.evaluate(() => window.recovered)).toEqual([false, true]);
  });

  test("what is published offline goes out in order on return, and comes back as its own", async () => {
    const page = await open();
    const other = await open();
    relay.blocked = true;
    relay.cut();
    await untilConnected(page, false);
    const published = page.evaluate(async () =>
      Promise.all([1, 2, 3].map(async (n) => (await window.room.publish({ n })).position?.offset)),
    );
    relay.blocked = false;
    const offsets = await published;
    expect(offsets.map((offset) => (offset ?? 0) - (offsets[0] ?? 0))).toEqual([0, 1, 2]);
    await other.waitForFunction(() => window.heard.length === 3);
    await page.waitForFunction(() => window.heard.length === 3);
    expect(await page.evaluate(() => window.own)).toEqual([{ n: 1 }, { n: 2 }, { n: 3 }]);
    expect(await other.evaluate(() => window.own)).toEqual([]);
  });

  test("several tabs: each a client of its own, all hear all, one member of the channel", async () => {
    const tabs = await Promise.all([open("&user=ada"), open("&user=ada"), open("&user=ada")]);
    const ids = await Promise.all(tabs.map((tab) => tab.evaluate(() => window.client.id)));
    expect(new Set(ids).size).toBe(3);
    expect(await Promise.all(tabs.map((tab) => tab.evaluate(() => window.client.user)))).toEqual(["ada", "ada", "ada"]);
    const connections = (tab: Page): Promise<string[][]> =>
      tab.evaluate(() => window.room.presence.members.map((member) => member.connections.map(({ client }) => client)));
    for (const tab of tabs)
      await expect.poll(async () => (await connections(tab)).map((all) => new Set(all))).toEqual([new Set(ids)]);
    await tabs[0]?.evaluate(async () => window.room.publish("from the first"));
    for (const tab of tabs) await tab.waitForFunction(() => window.heard.length === 1);
    expect(await Promise.all(tabs.map((tab) => tab.evaluate(() => window.own.length)))).toEqual([1, 0, 0]);
  });

  test("the network's return ends a long wait", async () => {
    const page = await open("&random=0.9");
    relay.blocked = true;
    relay.cut();
    await page.waitForFunction(() => (window.delays.at(-1) ?? 0) > 5_000);
    await context.setOffline(true);
    relay.blocked = false;
    const began = Date.now();
    await context.setOffline(false);
    await untilConnected(page);
    expect(Date.now() - began).toBeLessThan(3_000);
  });

  test("a page that loses its network does not go on saying that it is connected", async () => {
    const page = await open();
    relay.freeze();
    const began = Date.now();
    await context.setOffline(true);
    await untilConnected(page, false);
    // Its heartbeat would have taken 125 s.
    expect(Date.now() - began).toBeLessThan(10_000);
    await service.zuruf.publish(room, "while it was away");
    await context.setOffline(false);
    await page.waitForFunction(() => window.heard.length === 1);
    expect(await page.evaluate(() => window.recovered)).toEqual([false, true]);
  });

  test("a page that is looked at again finds out that its connection is dead", async () => {
    const page = await open();
    relay.freeze();
    await service.zuruf.publish(room, "into the void");
    const began = Date.now();
    await page.evaluate(() => {
      document.dispatchEvent(new Event("visibilitychange", { bubbles: true }));
    });
    await page.waitForFunction(() => window.heard.length === 1);
    expect(await heard(page)).toEqual(["into the void"]);
    // Its heartbeat would have taken 125 s.
    expect(Date.now() - began).toBeLessThan(10_000);
  });

  test("a page that was frozen goes on where it was", async () => {
    const page = await open();
    const session = await context.newCDPSession(page);
    await session.send("Page.setWebLifecycleState", { state: "frozen" });
    for (const text of ["a", "b", "c"]) await service.zuruf.publish(room, text);
    relay.cut();
    await session.send("Page.setWebLifecycleState", { state: "active" });
    await page.waitForFunction(() => window.heard.length === 3);
    expect(await heard(page)).toEqual(["a", "b", "c"]);
  });
});
