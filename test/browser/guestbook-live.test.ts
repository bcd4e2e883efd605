/** One entry in the guestbook, on every screen at once: the page in real Chromium against a real `zuruf serve`. */
import { createClient } from "@zuruf/client";
import type { Browser } from "playwright-core";
import { afterAll, afterEach, beforeAll, describe, expect, test, vi } from "vitest";
import { hasChromium, launchChromium } from "./chromium.ts";
import { expectMessages, openGuestbook, untilShown, writeAndMeasure, type GuestbookPage } from "./guestbook-page.ts";
import { startGuestbook, temporaryFolder, type Service, type TemporaryFolder } from "./service.ts";

vi.setConfig({ testTimeout: 60_000 });

describe.skipIf(!hasChromium)("the guestbook, live", () => {
  let folder: TemporaryFolder;
  let service: Service;
  let browsers: Browser[] = [];
  let pages: GuestbookPage[] = [];
  const open = async (browser = 0, options = {}): Promise<GuestbookPage> => {
    const page = await openGuestbook(browsers[browser] as Browser, service.url, options);
    pages.push(page);
    return page;
  };

  beforeAll(async () => {
    folder = await temporaryFolder();
    [service, ...browsers] = await Promise.all([
      startGuestbook({ folder: folder.path }),
      launchChromium(),
      launchChromium(),
    ]);
  });
  afterEach(async () => {
    for (const page of pages) expect(page.errors).toEqual([]);
    await Promise.all(pages.map((page) => page.close()));
    pages = [];
  });
  afterAll(async () => {
    await Promise.all(browsers.map((browser) => browser.close()));
    expect(await service.stop()).toBe(0);
    await folder.remove();
  });

  test("the terminal says where the page is, how to stop, and where the entries are kept", () => {
    expect(service.output()).toContain(service.url);
    expect(service.output()).toMatch(/Ctrl ?\+ ?C/i);
    expect(service.output()).toContain("zuruf-data/guestbook");
  });

  test("an entry appears in every other browser without a reload, in less than 100 ms", async () => {
    const [writer, ...readers] = await Promise.all([open(0), open(1), open(0)]);
    await Promise.all(pages.map((page) => page.live()));
    await expect.poll(() => writer.detail.textContent()).toMatch(/^instance \S+/);

    // For each entry the slowest reader; of the entries the fastest, because the machine has other tests to run at the same time.
    const delays: number[] = [];
    for (const message of ["first", "second", "third", "fourth"])
      delays.push(Math.max(...(await writeAndMeasure(writer, readers, "Ada", message))));
    console.log(`sent to shown in all other browsers: ${delays.join(", ")} ms`);
    expect(Math.min(...delays)).toBeLessThan(100);
    for (const page of pages) await expectMessages(page, ["fourth", "third", "second", "first"]);
  });

  test("a page that is opened later shows the same entries, with readable and exact times", async () => {
    const page = await open(1);
    await page.live();
    await expectMessages(page, ["fourth", "third", "second", "first"]);
    const time = page.entries.first().locator("time");
    expect(await time.textContent()).toMatch(/just now|minutes? ago/);
    expect(await time.getAttribute("title")).toMatch(/\d{4} at \d\d:\d\d:\d\d/);
    expect(await page.page.locator(".note").textContent()).toBe("This is where the book begins.");
  });

  test("the page speaks German to German browsers", async () => {
    const page = await open(0, { locale: "de-DE" });
    await page.state.filter({ hasText: "Live" }).waitFor();
    expect(await page.page.title()).toBe("Gästebuch");
    expect(await page.page.getAttribute("html", "lang")).toBe("de");
    expect(await page.page.textContent("h1")).toBe("Gästebuch");
    expect(await page.detail.textContent()).toMatch(/^Instanz /);
    expect(await page.entries.first().locator("time").textContent()).toMatch(/gerade eben|vor \d+ Minuten?/);
    await page.page.click("button[type=submit]");
    expect(await page.page.textContent("#name-flaw")).toBe("Bitte sag, wer du bist.");
  });

  test("it can be used by keyboard alone: focus goes in order, and is seen", async () => {
    const page = await open();
    await page.live();
    const focused = (): Promise<string> =>
      page.page.evaluate(() => {
        const element = document.activeElement as HTMLElement;
        const { outlineStyle, boxShadow } = getComputedStyle(element);
        const seen = outlineStyle !== "none" || boxShadow !== "none";
        return `${element.id || element.textContent}${seen ? "" : " (not seen)"}`;
      });
    const { keyboard } = page.page;
    await keyboard.press("Tab");
    expect(await focused()).toBe("name");
    await keyboard.type("Kay");
    await keyboard.press("Tab");
    expect(await focused()).toBe("message");
    await keyboard.press("Tab");
    expect(await focused()).toBe("Sign the book");
    await keyboard.press("Enter");
    expect(await focused()).toBe("message");
    expect(await page.message.getAttribute("aria-invalid")).toBe("true");
    expect(await page.page.textContent("#message-flaw")).toBe("Please write something.");
    await keyboard.type("by keyboard");
    expect(await page.message.getAttribute("aria-invalid")).toBeNull();
    await keyboard.press("Control+Enter");
    await untilShown(page, "by keyboard");
    expect(await page.message.inputValue()).toBe("");
    expect(await focused()).toBe("message");
  });

  test("the name is remembered for the next visit", async () => {
    const page = await open();
    await page.live();
    await page.write("Grace", "again and again");
    await untilShown(page, "again and again");
    await page.page.reload();
    expect(await page.name.inputValue()).toBe("Grace");
    expect(await page.message.inputValue()).toBe("");
  });

  test("older entries are read on demand, and the focus goes where they begin", async () => {
    const page = await open();
    await page.live();
    const { length } = await page.read();
    // More than one page of entries, by other clients: the rate is counted for each.
    for (let written = length; written < 25;) {
      const client = createClient(`${service.url.replace("http", "ws")}/ws`);
      for (let count = 0; count < 5 && written < 25; count++, written++)
        await client.channel<unknown>("guestbook").publish({ name: "Many", message: `number ${written}` });
      client.disconnect();
    }
    await untilShown(page, "number 24");
    await page.page.reload();
    await page.entries.nth(19).waitFor();
    expect(await page.entries.count()).toBe(20);
    const button = page.page.getByRole("button", { name: "Show older entries" });
    await button.focus();
    await page.page.keyboard.press("Enter");
    await page.entries.nth(24).waitFor();
    expect(await page.entries.count()).toBe(25);
    expect((await page.read()).at(-1)?.message).toBe("first");
    expect(await page.entries.nth(20).evaluate((item) => item === document.activeElement)).toBe(true);
    await button.waitFor({ state: "detached" });
  });
});
