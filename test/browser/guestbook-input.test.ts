/** What a stranger can write or send that is bad: shown as text, refused in the form and on the server, slowed down. */
import type { Browser } from "playwright-core";
import { afterAll, beforeAll, beforeEach, afterEach, describe, expect, test, vi } from "vitest";
import { hasChromium, launchChromium, picture } from "./chromium.ts";
import { openGuestbook, untilShown, type GuestbookPage } from "./guestbook-page.ts";
import { startGuestbook, temporaryFolder, type Service, type TemporaryFolder } from "./service.ts";

vi.setConfig({ testTimeout: 60_000 });

describe.skipIf(!hasChromium)("bad input to the guestbook", () => {
  let folder: TemporaryFolder;
  let service: Service;
  let browser: Browser;
  let guestbook: GuestbookPage;

  beforeAll(async () => {
    folder = await temporaryFolder();
    [service, browser] = await Promise.all([startGuestbook({ folder: folder.path }), launchChromium()]);
  });
  beforeEach(async () => {
    guestbook = await openGuestbook(browser, service.url);
    await guestbook.live();
  });
  afterEach(async () => {
    expect(guestbook.errors).toEqual([]);
    await guestbook.close();
  });
  afterAll(async () => {
    await browser.close();
    expect(await service.stop()).toBe(0);
    await folder.remove();
  });

  test("HTML and script are shown as text, in name and message", async () => {
    const script = `<img src=x onerror="document.title='owned'"><script>document.title='owned'</script>`;
    await guestbook.write("<b onclick=alert(1)>Bobby</b>", script);
    await untilShown(guestbook, "<script>");
    expect(await guestbook.read()).toContainEqual({ name: "<b onclick=alert(1)>Bobby</b>", message: script });
    await guestbook.page.reload();
    await untilShown(guestbook, "<script>");
    expect(await guestbook.page.locator(".entries img, .entries script, .entries b").count()).toBe(0);
    expect(await guestbook.page.title()).toBe("Guestbook");
  });

  test("the page's policy allows no script but its own", async () => {
    const { headers } = await fetch(service.url);
    const policy = headers.get("content-security-policy");
    expect(policy).toContain("default-src 'none'");
    expect(policy).not.toMatch(/unsafe|\*|https?:/);
    expect(headers.get("x-content-type-options")).toBe("nosniff");
    const ran = await guestbook.page.evaluate(() => {
      const script = document.createElement("script");
      try {
        script.text = "window.ran = true";
      } catch {
        return "refused";
      }
      document.body.append(script);
      return "ran" in window;
    });
    expect(ran).toBe("refused");
    guestbook.errors.toString();
    (guestbook.errors as string[]).length = 0;
  });

  test("empty and too long are refused in the form, with the limits in sight", async () => {
    const { page } = guestbook;
    expect(await page.locator(".count").allTextContents()).toEqual(["0 / 50", "0 / 500"]);
    await guestbook.write(" ", "\n ");
    expect(await page.textContent("#name-flaw")).toBe("Please say who you are.");
    expect(await page.textContent("#message-flaw")).toBe("Please write something.");
    await guestbook.write("😀".repeat(51), "x".repeat(501));
    expect(await page.locator(".count").allTextContents()).toEqual(["51 / 50", "501 / 500"]);
    expect(await page.textContent("#name-flaw")).toBe("At most 50 characters, please.");
    expect(await page.textContent("#message-flaw")).toBe("At most 500 characters, please.");
    expect(await page.locator(".outgoing").count()).toBe(0);
    const longest = `${"😀".repeat(499)}!`;
    await guestbook.write("😀".repeat(50), longest);
    await untilShown(guestbook, longest);
  });

  test("the server refuses the same from whoever goes past the form, and the connection lives on", async () => {
    const before = await guestbook.read();
    const answers = await guestbook.page.evaluate(async () => {
      const socket = new WebSocket(`ws://${location.host}/ws`, "zuruf.v1.json");
      const received: string[] = [];
      socket.addEventListener("message", ({ data }) => received.push(String(data)));
      await new Promise((resolve) => socket.addEventListener("open", resolve));
      const packets = [
        '["connect",1,{}]',
        '["publish",2,"guestbook",{},{"name":"","message":"x"}]',
        JSON.stringify(["publish", 3, "guestbook", {}, { name: "x", message: "x".repeat(501) }]),
        '["publish",4,"guestbook",{},"just text"]',
        "this is no packet",
        '["publish",5,"elsewhere",{},{"name":"x","message":"x"}]',
        '["ping",6]',
      ];
      for (const packet of packets) socket.send(packet);
      const expected = ['["error",2', '["error",3', '["error",4', '["error",0', '["error",5', '["pong",6'];
      await new Promise<void>((resolve) => {
        socket.addEventListener("message", () => {
          if (expected.every((start) => received.some((text) => text.startsWith(start)))) resolve();
        });
      });
      const alive = socket.readyState === WebSocket.OPEN;
      socket.close();
      return { alive, errors: received.map((text) => JSON.parse(text)).filter(([word]) => word === "error") };
    });
    expect(answers.alive).toBe(true);
    const errors = new Map(answers.errors.map(([, id, [code, message]]) => [id, `${code}: ${message}`]));
    expect(errors.get(2)).toBe("rejected: the name is empty");
    expect(errors.get(3)).toBe("rejected: the message is longer than 500 characters");
    expect(errors.get(4)).toBe("rejected: an entry is an object with a name and a message, both text");
    expect(errors.get(0)).toMatch(/^badRequest: /);
    expect(errors.get(5)).toMatch(/^notFound: /);
    expect(await guestbook.read()).toEqual(before);
  });

  test("who writes too fast is told to slow down and for how long; nothing is lost", async () => {
    const last = 6;
    await guestbook.page.fill("#name", "Flo");
    // All at once, and what is said at that moment: another is allowed every 2 s, which go by quickly on a busy machine.
    const refused = await guestbook.page.evaluate((count) => {
      const message = document.querySelector<HTMLTextAreaElement>("#message");
      const send = document.querySelector<HTMLElement>("button[type=submit]");
      if (message === null || send === null) throw new Error("no form");
      for (let n = 1; n <= count; n++) {
        message.value = `flood ${n}`;
        message.dispatchEvent(new InputEvent("input", { bubbles: true }));
        send.click();
      }
      return new Promise((resolve) => {
        const observer = new MutationObserver(() => {
          const stuck = [...document.querySelectorAll(".stuck")];
          if (stuck.length === 0) return;
          observer.disconnect();
          const text = (item: Element, part: string): unknown => item.querySelector(part)?.textContent;
          resolve(
            stuck.map((item) => ({
              message: text(item, ".message"),
              reason: text(item, ".reason"),
              waits: item.querySelector("button")?.getAttribute("aria-disabled"),
            })),
          );
        });
        observer.observe(document.body, { subtree: true, childList: true });
      });
    }, last);
    const reason: unknown = expect.stringMatching(/^Slow down: you can send this in \d+ s\.$/);
    expect(refused).toEqual([{ message: `flood ${last}`, reason, waits: "true" }]);
    await guestbook.page.getByRole("alert").filter({ hasText: "Slow down" }).waitFor();
    await guestbook.page.screenshot({ path: picture("guestbook-slow-down") });
    await untilShown(guestbook, `flood ${last - 1}`);
    const again = guestbook.page.locator(".stuck").getByRole("button", { name: "Send again" });
    await guestbook.page.waitForFunction(
      () => document.querySelector(".stuck button")?.hasAttribute("aria-disabled") === false,
    );
    await again.click();
    await untilShown(guestbook, `flood ${last}`);
    const messages = (await guestbook.read()).map(({ message }) => message);
    expect(messages.filter((message) => message.startsWith("flood"))).toEqual(
      Array.from({ length: last }, (_, index) => `flood ${last - index}`),
    );
  });
});
