import { createClient } from "@zuruf/client";
import { render } from "preact";
import type { EntriesPage } from "../entry.ts";
import { App } from "./app.tsx";
import { Guestbook } from "./guestbook.ts";
import { textsFor } from "./texts.ts";

async function fetchEntries({ before }: { readonly before?: number }): Promise<EntriesPage> {
  const response = await fetch(before === undefined ? "/entries" : `/entries?before=${before}`, {
    signal: AbortSignal.timeout(10_000),
  });
  if (!response.ok) throw new Error(`GET /entries answered ${response.status}`);
  return (await response.json()) as EntriesPage;
}

/** Storage may be forbidden by the browser's settings; the page then works without. */
function storageOf(kind: "localStorage" | "sessionStorage"): Storage | undefined {
  try {
    return globalThis[kind];
  } catch {
    return undefined;
  }
}

const texts = textsFor(navigator.languages);
document.documentElement.lang = texts.language;
document.title = texts.title;

const url = new URL("/ws", location.href);
url.protocol = location.protocol === "https:" ? "wss:" : "ws:";
const guestbook = new Guestbook({
  client: createClient(url.href),
  fetchEntries,
  storage: storageOf("sessionStorage"),
  now: Date.now,
});
const root = document.querySelector("#guestbook");
if (root === null) throw new Error("index.html has no #guestbook");
render(<App guestbook={guestbook} texts={texts} storage={storageOf("localStorage")} />, root);
guestbook.start();
