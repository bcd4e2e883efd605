import { existsSync, mkdirSync } from "node:fs";
import { join, resolve } from "node:path";
import { chromium, type Browser } from "playwright-core";

const executablePath = process.env["ZURUF_CHROMIUM"] ?? "/usr/bin/chromium";

/** False where no Chromium is installed; `npm test` brings one. */
export const hasChromium: boolean = existsSync(executablePath);

/** A real Chromium with a fresh profile, that talks to nobody but the page's server. */
export function launchChromium(): Promise<Browser> {
  return chromium.launch({
    executablePath,
    args: [
      "--headless=new",
      "--no-sandbox",
      "--disable-gpu",
      "--disable-quic",
      "--no-first-run",
      "--disable-background-networking",
      "--disable-component-update",
      "--disable-sync",
    ],
  });
}

/** Where pictures of the pages go: kept out of git. */
export function picture(name: string): string {
  const folder = resolve(import.meta.dirname, "../../test-output");
  mkdirSync(folder, { recursive: true });
  return join(folder, `${name}.png`);
}
