/**
 * Makes docs/images/guestbook.png, the picture of the README: two browsers, in two languages, on two of three instances.
 * Needs ZURUF_TEST_REDIS_URL and ZURUF_TEST_POSTGRES_URL. Run: `npx tsx test/browser/readme-picture.ts`
 */
import { mkdirSync } from "node:fs";
import { dirname, resolve } from "node:path";
import { Client } from "pg";
import { launchChromium } from "./chromium.ts";
import { openGuestbook, untilShown } from "./guestbook-page.ts";
import { startGuestbook, temporaryFolder } from "./service.ts";

const target = resolve(import.meta.dirname, "../../docs/images/guestbook.png");
const windowSize = { width: 900, height: 740 };
const minute = 60_000;
const earlier = [
  ["Mirela & Tom", "We came for an hour and stayed for three. See you next summer!", 3 * 60 * minute],
  ["Jürgen", "Schöne Grüße aus Köln – was für ein Abend!", 26 * minute],
  ["Jón Þór", "Takk fyrir okkur!", 4 * minute],
] as const;

const redis = process.env["ZURUF_TEST_REDIS_URL"];
const postgres = process.env["ZURUF_TEST_POSTGRES_URL"];
if (redis === undefined || postgres === undefined)
  throw new Error("set ZURUF_TEST_REDIS_URL and ZURUF_TEST_POSTGRES_URL");

const admin = new Client({ connectionString: postgres });
await admin.connect();
const database = `guestbook_picture_${process.pid}`;
await admin.query(`create database ${database}`);
const url = new URL(postgres);
url.pathname = `/${database}`;
const folder = await temporaryFolder();
const browser = await launchChromium();
const service = await startGuestbook({
  folder: folder.path,
  args: ["--instances", "3", "--backplane", redis],
  env: { DATABASE_URL: url.href },
});
try {
  const book = new Client({ connectionString: url.href });
  await book.connect();
  for (const [name, message, age] of earlier)
    await book.query("insert into guestbook_entries (name, message, time) values ($1, $2, $3)", [
      name,
      message,
      new Date(Date.now() - age),
    ]);
  await book.end();

  const english = await openGuestbook(browser, service.url, { viewport: windowSize });
  await english.live();
  let german = await openGuestbook(browser, service.url, { viewport: windowSize, locale: "de-DE" });
  await german.live();
  while ((await german.detail.textContent())?.split(" ")[1] === (await english.detail.textContent())?.split(" ")[1]) {
    await german.close();
    german = await openGuestbook(browser, service.url, { viewport: windowSize, locale: "de-DE" });
    await german.live();
  }
  await english.write("Ada", "I wrote this on one instance, and it is on every screen at once.");
  await untilShown(german, "on every screen");
  await german.page.fill("#name", "Käthe");
  await german.page.fill("#message", "Und ich lese es auf einer anderen …");
  for (const { page } of [english, german]) {
    await page.mouse.move(0, 0);
    // A plain desk: gradients make a PNG heavy.
    await page.evaluate(() => (document.body.style.background = "var(--desk)"));
  }
  await english.page.waitForTimeout(4500); // until the ink is dry
  const shots = [await english.page.screenshot(), await german.page.screenshot()];

  const context = await browser.newContext({ viewport: { width: 1920, height: 850 } });
  const page = await context.newPage();
  await page.setContent(
    `<style>
      body { margin: 0; height: 100vh; display: grid; grid-auto-flow: column; place-content: center; gap: 28px; background: #f3f1ec; }
      figure { margin: 0; border-radius: 10px; overflow: hidden; box-shadow: 0 2px 6px #0002, 0 20px 40px -12px #0004; }
      figure::before { content: "●  ●  ●"; display: block; padding: 9px 14px; font: 13px/1 sans-serif; color: #b9b2a4; background: #fbfaf7; }
      img { display: block; }
    </style>${shots.map((shot) => `<figure><img src="data:image/png;base64,${shot.toString("base64")}"></figure>`).join("")}`,
  );
  mkdirSync(dirname(target), { recursive: true });
  await page.screenshot({ path: target });
  console.log(target);
} finally {
  await browser.close();
  await service.stop();
  await admin.query(`drop database ${database} with (force)`);
  await admin.end();
  await folder.remove();
}
