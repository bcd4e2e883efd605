/** What a screen reader, a small window and weak eyes need; in both languages' page, light and dark. Leaves pictures in test-output/. */
import type { Browser } from "playwright-core";
import { afterAll, beforeAll, describe, expect, test, vi } from "vitest";
import { hasChromium, launchChromium, picture } from "./chromium.ts";
import { openGuestbook, untilShown, type GuestbookPage } from "./guestbook-page.ts";
import { startGuestbook, temporaryFolder, type Service, type TemporaryFolder } from "./service.ts";

const samples = [
  ["Oskar", "Averyveryverylongwordwithoutanyspaceatallthatgoesonandonandonuntiltheendofthelineandthensomemoreandmore"],
  ["A name as long as it may be: exactly 50 characters", "<b>HTML</b> & <script>alert(1)</script> are just text."],
  ["Jón Þór", "Takk fyrir okkur! ☕"],
  ["Käthe & Paul", "Eigentlich wollten wir nur eine Stunde bleiben. Es wurden drei.\n\nBis zum nächsten Sommer!"],
  ["Ada", "Found the room by following the laughter. What a lovely evening, thank you for having us!"],
] as const;

vi.setConfig({ testTimeout: 60_000 });

describe.skipIf(!hasChromium)("the guestbook for everyone", () => {
  let folder: TemporaryFolder;
  let service: Service;
  let browser: Browser;

  beforeAll(async () => {
    folder = await temporaryFolder();
    [service, browser] = await Promise.all([startGuestbook({ folder: folder.path }), launchChromium()]);
    const writer = await openGuestbook(browser, service.url);
    await writer.live();
    for (const [name, message] of samples) {
      await writer.write(name, message);
      await writer.page.waitForFunction(
        (count) => document.querySelectorAll(".entries > .entry").length === count,
        samples.findIndex(([each]) => each === name) + 1,
      );
    }
    await writer.close();
  });
  afterAll(async () => {
    await browser.close();
    await service.stop();
    await folder.remove();
  });

  const views = [
    { locale: "en-GB", colorScheme: "light", width: 1280 },
    { locale: "de-DE", colorScheme: "dark", width: 1280 },
    { locale: "de-DE", colorScheme: "light", width: 360 },
    { locale: "en-GB", colorScheme: "dark", width: 360 },
  ] as const;
  test.each(views)(
    "$locale, $colorScheme, $width px: fits, can be read, and every control has a name",
    async (view) => {
      const { locale, colorScheme, width } = view;
      let cut: () => Promise<void> = () => Promise.reject(new Error("no WebSocket was opened"));
      const guestbook = await openGuestbook(browser, service.url, {
        prepare: (page) =>
          page.routeWebSocket(/\/ws$/, (socket) => {
            const server = socket.connectToServer();
            cut = async () => {
              await Promise.all([socket.close({ code: 1001 }), server.close()]);
            };
          }),
        locale,
        colorScheme,
        viewport: { width, height: width < 500 ? 740 : 900 },
      });
      await guestbook.live();
      await guestbook.entries.nth(4).waitFor();
      await guestbook.page.screenshot({
        path: picture(`guestbook-${locale.slice(0, 2)}-${colorScheme}-${width}`),
        fullPage: width < 500,
      });
      expect(await guestbook.page.evaluate(() => document.documentElement.scrollWidth)).toBeLessThanOrEqual(width);
      expect(await problems(guestbook)).toEqual([]);

      // The same with something wrong on the page.
      await guestbook.page.fill("#message", "x".repeat(501));
      await guestbook.page.click("button[type=submit]");
      await guestbook.page.context().setOffline(true);
      await cut();
      await guestbook.page.waitForFunction(() => document.querySelector('[data-state="offline"]') !== null);
      await guestbook.page.fill("#name", "Nora");
      await guestbook.page.fill("#message", "Written without a network.");
      await guestbook.page.click("button[type=submit]");
      await guestbook.page.fill("#message", "x".repeat(501));
      await guestbook.page.click("button[type=submit]");
      await guestbook.page.locator(".outgoing .reason").waitFor();
      await guestbook.page.screenshot({
        path: picture(`guestbook-${locale.slice(0, 2)}-${colorScheme}-${width}-trouble`),
        fullPage: width < 500,
      });
      expect(await guestbook.page.evaluate(() => document.documentElement.scrollWidth)).toBeLessThanOrEqual(width);
      expect(await problems(guestbook)).toEqual([]);
      await guestbook.page.locator(".outgoing .entry").waitFor();
      await guestbook.close();
    },
  );

  test("a screen reader is told the structure, the fields with their limits, and what is new", async () => {
    const guestbook = await openGuestbook(browser, service.url);
    await guestbook.live();
    const tree = await guestbook.page.locator("body").ariaSnapshot();
    expect(tree).toContain('heading "Guestbook" [level=1]');
    expect(tree).toContain('heading "Entries" [level=2]');
    expect(tree).toContain('region "Write in the guestbook"');
    expect(tree).toContain('main "Entries"');
    expect(tree).toContain('textbox "Name"');
    expect(tree).toContain('textbox "Message"');
    expect(tree).toContain('button "Sign the book"');
    expect(tree).toContain("status: Live");
    const described = await guestbook.message.getAttribute("aria-describedby");
    expect(await guestbook.page.textContent(`#${described?.split(" ")[0]}`)).toBe("At most 500 characters");

    const other = await openGuestbook(browser, service.url);
    await other.live();
    await other.write("Bea", "Hello from over there");
    await untilShown(guestbook, "Hello from over there");
    const log = guestbook.page.getByRole("log");
    await log.filter({ hasText: "New entry by Bea: Hello from over there" }).waitFor();
    expect(await other.page.getByRole("log").textContent()).toBe("");
    await other.close();
    await guestbook.close();
  });
});

/** Looks for what is wrong with names, ids, sizes and contrast, as the common checkers do. */
function problems({ page }: GuestbookPage): Promise<string[]> {
  return page.evaluate(() => {
    const found: string[] = [];
    const seen = new Set<string>();
    for (const { id } of document.querySelectorAll("[id]")) {
      if (seen.has(id)) found.push(`two elements have the id ${id}`);
      seen.add(id);
    }
    for (const control of document.querySelectorAll<HTMLElement>("input, textarea, button")) {
      const label =
        control instanceof HTMLButtonElement
          ? control.textContent
          : (control as HTMLInputElement).labels?.[0]?.textContent;
      if (!label?.trim()) found.push(`${control.outerHTML} has no name`);
      const { width, height } = control.getBoundingClientRect();
      if (width < 24 || height < 24) found.push(`${label} is ${width} × ${height} pixels`);
      for (const id of control.getAttribute("aria-describedby")?.split(" ") ?? [])
        if (document.getElementById(id) === null) found.push(`${label} is described by #${id}, which does not exist`);
    }

    // Colours are drawn on a canvas, so that whatever CSS says becomes red, green, blue and opacity.
    const canvas = document.createElement("canvas");
    canvas.width = canvas.height = 1;
    const context = canvas.getContext("2d", { willReadFrequently: true }) as CanvasRenderingContext2D;
    const over = (layers: string[]): number[] => {
      context.clearRect(0, 0, 1, 1);
      for (const layer of layers) {
        context.fillStyle = layer;
        context.fillRect(0, 0, 1, 1);
      }
      return [...context.getImageData(0, 0, 1, 1).data];
    };
    const luminance = (rgb: number[]): number => {
      const [red = 0, green = 0, blue = 0] = rgb.map((value) => {
        const part = value / 255;
        return part <= 0.040_45 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4;
      });
      return 0.2126 * red + 0.7152 * green + 0.0722 * blue;
    };
    const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
    while (walker.nextNode()) {
      const element = walker.currentNode.parentElement;
      const text = walker.currentNode.textContent?.trim();
      if (element === null || !text || element.closest(".unseen, noscript, script") !== null) continue;
      const backgrounds: string[] = [];
      for (let parent: Element | null = element; parent !== null; parent = parent.parentElement)
        backgrounds.unshift(getComputedStyle(parent).backgroundColor);
      const background = luminance(over(["white", ...backgrounds]));
      const colour = luminance(over(["white", ...backgrounds, getComputedStyle(element).color]));
      const contrast = (Math.max(background, colour) + 0.05) / (Math.min(background, colour) + 0.05);
      // WCAG 2.2 §1.4.3
      if (contrast < 4.5) found.push(`"${text.slice(0, 30)}" has a contrast of ${contrast.toFixed(2)}`);
    }
    return found;
  });
}
