/** Three instances behind one port, over real Redis and PostgreSQL: browsers on different instances share one book. */
import { readFile } from "node:fs/promises";
import { Client } from "pg";
import type { Browser } from "playwright-core";
import { afterAll, beforeAll, describe, expect, test, vi } from "vitest";
import { hasChromium, launchChromium, picture } from "./chromium.ts";
import { expectMessages, openGuestbook, untilShown, writeAndMeasure, type GuestbookPage } from "./guestbook-page.ts";
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

    const instanceOf = async ({ detail }: GuestbookPage): Promise<string> => (await detail.textContent()) ?? "";
    const open = async (): Promise<GuestbookPage> => {
      const guestbook = await openGuestbook(browser, service.url);
      await guestbook.live();
      return guestbook;
    };
    const openOnTwoInstances = async (): Promise<[GuestbookPage, GuestbookPage]> => {
      const one = await open();
      let two = await open();
      for (let tries = 0; (await instanceOf(one)) === (await instanceOf(two)) && tries < 30; tries++) {
        await two.close();
        two = await open();
      }
      return [one, two];
    };

    test("browsers on two different instances see each other's entries at once", async () => {
      const [one, two] = await openOnTwoInstances();
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
      // The fastest, because the machine has other tests to run at the same time.
      expect(Math.min(...delays)).toBeLessThan(100);
      for (const guestbook of [one, two]) await expectMessages(guestbook, messages);

      // PostgreSQL ends all connections, as a restart does: the next entry takes new ones.
      await admin(`select pg_terminate_backend(pid) from pg_stat_activity where datname = '${database}'`);
      await two.write("Bea", "after the database came back");
      await untilShown(one, "after the database came back");
      await two.page.screenshot({ path: picture("guestbook-instances") });
      expect([...one.errors, ...two.errors]).toEqual([]);
      await Promise.all([one.close(), two.close()]);
    });

    test("an instance is killed: its page goes on with another instance, and shows what it missed, each once", async () => {
      const [one, two] = await openOnTwoInstances();
      await one.write("Ada", "before the kill");
      await untilShown(two, "before the kill");
      const before = (await two.read()).map(({ message }) => message);
      const killed = await instanceOf(one);
      await two.page.evaluate(() => {
        Object.assign(window, { states: [] });
        const lamp = document.querySelector(".connection") as HTMLElement;
        new MutationObserver(() =>
          (window as unknown as { states: unknown[] }).states.push(lamp.dataset["state"]),
        ).observe(lamp, {
          attributes: true,
        });
      });

      process.kill(await processOf(killed.replace("instance ", "")), "SIGKILL");
      await one.state.filter({ hasText: "Reconnecting" }).waitFor();
      await two.write("Bea", "after the kill");
      await untilShown(one, "after the kill");
      await one.live();
      expect(await instanceOf(one)).not.toBe(killed);
      for (const guestbook of [one, two]) await expectMessages(guestbook, ["after the kill", ...before]);
      expect(await two.page.evaluate(() => (window as unknown as { states: unknown[] }).states)).toEqual([]);
      await Promise.all([one.close(), two.close()]);
    });

    /** The process of an instance, by the name that it was started with. */
    async function processOf(instance: string): Promise<number> {
      const children = await readFile(`/proc/${service.pid}/task/${service.pid}/children`, "utf8");
      for (const pid of children.trim().split(" ").map(Number)) {
        const environment = await readFile(`/proc/${pid}/environ`, "utf8");
        if (environment.split("\0").includes(`ZURUF_INSTANCE=${instance}`)) return pid;
      }
      throw new Error(`no process of ${service.pid} is ${instance}`);
    }
  },
);
