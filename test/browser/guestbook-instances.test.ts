/** Three instances behind one port, over real Redis and PostgreSQL: browsers on different instances share one book. */
import { Client } from "pg";
import type { Browser } from "playwright-core";
import { afterAll, beforeAll, describe, expect, test, vi } from "vitest";
import { hasChromium, launchChromium, picture } from "./chromium.ts";
import {
  expectMessages,
  median,
  openGuestbook,
  untilShown,
  writeAndMeasure,
  type GuestbookPage,
} from "./guestbook-page.ts";
import { startGuestbook, temporaryFolder, type Service, type TemporaryFolder } from "./service.ts";

const redisUrl = process.env["ZURUF_TEST_REDIS_URL"];
const postgresUrl = process.env["ZURUF_TEST_POSTGRES_URL"];

vi.setConfig({ testTimeout: 60_000 });

describe.skipIf(!hasChromium || redisUrl === undefined || postgresUrl === undefined)(
  "the guestbook on three instances (ZURUF_TEST_REDIS_URL, ZURUF_TEST_POSTGRES_URL)",
  () => {
    const database = `guestbook_${Math.random().toString(36).slice(2)}`;
    let folder: TemporaryFolder;
    let service: Service;
    let browser: Browser;

    const admin = async (sql: string): Promise<void> => {
      const client = new Client({ connectionString: postgresUrl });
      await client.connect();
      await client.query(sql);
      await client.end();
    };

    beforeAll(async () => {
      [folder, browser] = await Promise.all([
        temporaryFolder(),
        launchChromium(),
        admin(`create database ${database}`),
      ]);
      const url = new URL(postgresUrl ?? "");
      url.pathname = `/${database}`;
      service = await startGuestbook({
        folder: folder.path,
        args: ["--instances", "3", "--backplane", redisUrl ?? ""],
        env: { DATABASE_URL: url.href },
      });
    });
    afterAll(async () => {
      await browser.close();
      expect(await service.stop()).toBe(0);
      await admin(`drop database ${database} with (force)`);
      await folder.remove();
    });

    test("browsers on two different instances see each other's entries at once", async () => {
      const instanceOf = async ({ detail }: GuestbookPage): Promise<string> => (await detail.textContent()) ?? "";
      const open = async (): Promise<GuestbookPage> => {
        const guestbook = await openGuestbook(browser, service.url);
        await guestbook.live();
        return guestbook;
      };
      const one = await open();
      let two = await open();
      for (let tries = 0; (await instanceOf(one)) === (await instanceOf(two)) && tries < 30; tries++) {
        await two.close();
        two = await open();
      }
      expect(await instanceOf(one)).toMatch(/^instance i[123]-/);
      expect(await instanceOf(two)).toMatch(/^instance i[123]-/);
      expect(await instanceOf(two)).not.toBe(await instanceOf(one));

      const messages: string[] = [];
      const delays: number[] = [];
      for (const [writer, reader] of [
        [one, two],
        [two, one],
        [one, two],
      ] as const) {
        messages.unshift(`from ${await instanceOf(writer)}, number ${messages.length}`);
        delays.push(...(await writeAndMeasure(writer, [reader], "Ada", messages[0] ?? "")));
      }
      console.log(`sent on one instance to shown on another: ${delays.join(", ")} ms`);
      expect(median(delays)).toBeLessThan(100);
      for (const guestbook of [one, two]) await expectMessages(guestbook, messages);

      // PostgreSQL ends all connections, as a restart does: the next entry takes new ones.
      await admin(`select pg_terminate_backend(pid) from pg_stat_activity where datname = '${database}'`);
      await two.write("Bea", "after the database came back");
      await untilShown(one, "after the database came back");
      await two.page.screenshot({ path: picture("guestbook-instances") });
      expect([...one.errors, ...two.errors]).toEqual([]);
      await Promise.all([one.close(), two.close()]);
    });
  },
);
