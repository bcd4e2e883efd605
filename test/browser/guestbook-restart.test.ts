/** The server stops and comes back while pages are open; entries are in the book once, whoever wrote them when. */
import type { Browser } from "playwright-core";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test, vi } from "vitest";
import { freePort } from "../services/process.ts";
import { bookTemplate, type BookTemplate } from "./book-template.ts";
import { hasChromium, launchChromium, picture } from "./chromium.ts";
import { expectMessages, openGuestbook, untilShown } from "./guestbook-page.ts";
import { guestbookThatEnds, startGuestbook, temporaryFolder, type Service, type TemporaryFolder } from "./service.ts";

// Servers start and stop, and clients wait before they return.
vi.setConfig({ testTimeout: 60_000 });

describe.skipIf(!hasChromium)("the guestbook over a restart", () => {
  let folder: TemporaryFolder;
  let service: Service;
  let browser: Browser;
  let template: BookTemplate;

  beforeAll(async () => {
    [browser, template] = await Promise.all([launchChromium(), bookTemplate()]);
  });
  beforeEach(async () => {
    folder = await template.copy();
    // One that nobody else is given while the service is away.
    service = await startGuestbook({ folder: folder.path, port: await freePort() });
  });
  afterEach(async () => {
    await service.stop();
    await folder.remove();
  });
  afterAll(async () => {
    await Promise.all([browser.close(), template.remove()]);
  });

  test("the page says so, comes back by itself, and shows what others wrote meanwhile, each once", async () => {
    const open = await openGuestbook(browser, service.url);
    await open.live();
    await open.write("Ada", "before");
    await untilShown(open, "before");
    const instance = await open.detail.textContent();

    expect(await service.stop("SIGINT")).toBe(0);
    await open.state.filter({ hasText: "Reconnecting" }).waitFor();
    expect(await open.detail.textContent()).toMatch(/^next try in \d+ s$|^trying now$/);
    await open.page.screenshot({ path: picture("guestbook-reconnecting") });
    await expectMessages(open, ["before"]);

    // This page stays away longer than the server, so that another can write into the book meanwhile.
    await open.page.context().setOffline(true);
    await open.state.filter({ hasText: "Offline" }).waitFor();
    service = await startGuestbook({ folder: folder.path, port: service.port });
    const other = await openGuestbook(browser, service.url);
    await other.live();
    await expectMessages(other, ["before"]);
    await other.write("Bea", "meanwhile 1");
    await untilShown(other, "meanwhile 1");
    await other.write("Bea", "meanwhile 2");
    await untilShown(other, "meanwhile 2");
    await open.page.context().setOffline(false);
    await open.live();
    await expectMessages(open, ["meanwhile 2", "meanwhile 1", "before"]);
    expect(await open.detail.textContent()).not.toBe(instance);

    await other.write("Bea", "after");
    await untilShown(open, "after");
    await expectMessages(open, ["after", "meanwhile 2", "meanwhile 1", "before"]);
    await Promise.all([open.close(), other.close()]);
  });

  test("an entry written while the server is away waits, says so, and is sent once on return", async () => {
    const open = await openGuestbook(browser, service.url);
    await open.live();
    expect(await service.stop()).toBe(0);
    await open.state.filter({ hasText: "Reconnecting" }).waitFor();
    await open.write("Ada", "written offline");
    const waiting = open.page.locator(".outgoing .entry");
    expect(await waiting.locator(".reason").textContent()).toBe(
      "Waiting: it is sent as soon as the connection is back.",
    );
    service = await startGuestbook({ folder: folder.path, port: service.port });
    await untilShown(open, "written offline");
    await waiting.waitFor({ state: "detached" });
    await open.page.reload();
    await expectMessages(open, ["written offline"]);
    await open.close();
  });

  test("a killed server leaves a lock that does not matter, and loses nothing that was acknowledged", async () => {
    const open = await openGuestbook(browser, service.url);
    await open.live();
    for (const message of ["one", "two", "three"]) {
      await open.write("Ada", message);
      await untilShown(open, message);
    }
    expect(await service.stop("SIGKILL")).toBeNull();
    service = await startGuestbook({ folder: folder.path, port: service.port });
    await open.live();
    await open.page.reload();
    await expectMessages(open, ["three", "two", "one"]);
    await open.close();
  });

  test("a second process is kept out of the data folder, in one line", async () => {
    const { code, output } = await guestbookThatEnds({ folder: folder.path });
    expect(code).toBe(1);
    expect(output).toContain(`zuruf-data/guestbook is used by process ${service.pid}: `);
    expect(output).not.toMatch(/\n\s+at /);
  });
});

describe("what the guestbook refuses at the start, in one line", () => {
  test.each([
    {
      why: "several instances on the embedded database",
      args: ["--instances", "3", "--backplane", "redis://127.0.0.1:1"],
      env: {},
      line: /3 instances cannot share the embedded database: set DATABASE_URL=postgres:\/\/… to a PostgreSQL server, or start one instance\./,
    },
    {
      why: "a PostgreSQL server that is not there",
      args: [],
      env: { DATABASE_URL: "postgres://user:secret@127.0.0.1:1/book" },
      line: /PostgreSQL at 127\.0\.0\.1:1\/book cannot be used \(.*ECONNREFUSED.*\): check DATABASE_URL, or unset it to use the embedded database\./,
    },
  ])("$why", async ({ args, env, line }) => {
    const folder = await temporaryFolder();
    const { code, output } = await guestbookThatEnds({ folder: folder.path, args, env });
    await folder.remove();
    expect(code).toBe(1);
    expect(output.trimEnd().split("\n")).toEqual([expect.stringMatching(line)]);
    expect(output).not.toContain("secret");
  });
});
