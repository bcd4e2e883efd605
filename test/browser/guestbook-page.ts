import type { Browser, BrowserContextOptions, Locator, Page } from "playwright-core";
import { expect } from "vitest";

/** The guestbook's page as a visitor handles it. */
export interface GuestbookPage {
  readonly page: Page;
  /** Errors that the page's console reported: broken scripts, blocked resources. */
  readonly errors: readonly string[];
  readonly entries: Locator;
  readonly name: Locator;
  readonly message: Locator;
  /** First line of the connection's state. */
  readonly state: Locator;
  /** Second line: the instance, or when it tries again. */
  readonly detail: Locator;
  write(name: string, message: string): Promise<void>;
  /** Waits until the page is live. */
  live(): Promise<void>;
  /** Name and message of each entry, newest first. */
  read(): Promise<{ name: string; message: string }[]>;
  close(): Promise<void>;
}

export async function openGuestbook(
  browser: Browser,
  url: string,
  options: BrowserContextOptions & { readonly prepare?: (page: Page) => Promise<void> } = {},
): Promise<GuestbookPage> {
  const { prepare, ...contextOptions } = options;
  const context = await browser.newContext({ locale: "en-GB", ...contextOptions });
  const page = await context.newPage();
  await prepare?.(page);
  const errors: string[] = [];
  page.on("console", (line) => {
    if (line.type() === "error") errors.push(line.text());
  });
  page.on("pageerror", (error) => errors.push(String(error)));
  await page.goto(url);
  const entries = page.locator(".entries > .entry");
  const state = page.getByRole("status");
  return {
    page,
    errors,
    entries,
    state,
    name: page.locator("#name"),
    message: page.locator("#message"),
    detail: page.locator(".connection small"),
    async write(name, message) {
      await page.fill("#name", name);
      await page.fill("#message", message);
      await page.click("button[type=submit]");
    },
    live: () => state.filter({ hasText: "Live" }).waitFor(),
    read: () =>
      entries.evaluateAll((items) =>
        items.map((item) => ({
          name: item.querySelector(".name")?.textContent ?? "",
          message: item.querySelector(".message")?.textContent ?? "",
        })),
      ),
    close: () => context.close(),
  };
}

/** Waits until the entry with this message is on the page. */
export async function untilShown({ entries }: GuestbookPage, message: string): Promise<void> {
  await entries.filter({ hasText: message }).first().waitFor();
}

/** The page's messages from the newest on; all of them, so that a double shows. */
export async function expectMessages(guestbook: GuestbookPage, expected: readonly string[]): Promise<void> {
  await expect.poll(async () => (await guestbook.read()).map(({ message }) => message)).toEqual(expected);
}

/**
 * Writes an entry on one page, and resolves with the milliseconds from the click until it is in the document of each of the others.
 * Both ends are taken inside the browsers, whose clocks are one machine's.
 */
export async function writeAndMeasure(
  writer: GuestbookPage,
  readers: readonly GuestbookPage[],
  name: string,
  message: string,
): Promise<number[]> {
  const seen = readers.map(({ page }) =>
    page.evaluate(
      (expected) =>
        new Promise<number>((found) => {
          const observer = new MutationObserver(() => {
            if (!document.querySelector(".entries")?.textContent.includes(expected)) return;
            observer.disconnect();
            found(Date.now());
          });
          observer.observe(document.body, { subtree: true, childList: true, characterData: true });
        }),
      message,
    ),
  );
  await writer.page.fill("#name", name);
  await writer.page.fill("#message", message);
  const sent = await writer.page.evaluate(() => {
    const now = Date.now();
    document.querySelector<HTMLElement>("button[type=submit]")?.click();
    return now;
  });
  const delays = (await Promise.all(seen)).map((at) => at - sent);
  await untilShown(writer, message);
  return delays;
}
