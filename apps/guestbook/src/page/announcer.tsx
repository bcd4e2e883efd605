import { useSignal, useSignalEffect } from "@preact/signals";
import type { JSX } from "preact";
import { useRef } from "preact/hooks";
import type { Entry } from "../entry.ts";
import type { Guestbook } from "./guestbook.ts";
import type { Texts } from "./texts.ts";

/** How long arrivals are collected before they are announced, so that a burst is one sentence. */
const collecting = 1000;

/** Says to screen readers what others see: new entries (politely), and why an own one is not in the book (at once). Counts in the title while the page is hidden. */
export function Announcer({ guestbook, texts }: { readonly guestbook: Guestbook; readonly texts: Texts }): JSX.Element {
  const said = useSignal("");
  const trouble = useSignal("");
  const collected = useRef<Entry[]>([]);
  const unseen = useRef(0);

  useSignalEffect(() => {
    const entries = guestbook.arrived.value;
    if (entries.length === 0) return;
    if (document.hidden) document.title = `(${(unseen.current += entries.length)}) ${texts.title}`;
    if (collected.current.push(...entries) > entries.length) return;
    setTimeout(() => {
      const [first, ...more] = collected.current;
      collected.current = [];
      if (first === undefined) return;
      said.value = more.length === 0 ? texts.newEntry(first.name, first.message) : texts.newEntries(more.length + 1);
    }, collecting);
  });

  useSignalEffect(() => {
    const seen = (): void => {
      if (document.hidden) return;
      unseen.current = 0;
      document.title = texts.title;
    };
    document.addEventListener("visibilitychange", seen);
    return () => document.removeEventListener("visibilitychange", seen);
  });

  useSignalEffect(() => {
    const item = guestbook.outbox.items.value.findLast(({ state }) => state !== "sending" && state !== "stored");
    if (item === undefined) trouble.value = "";
    else if (item.state === "slowDown")
      trouble.value = texts.slowDown(Math.ceil(((item.sendableAt ?? 0) - Date.now()) / 1000));
    else trouble.value = item.state === "refused" ? texts.refused(item.reason ?? "") : texts.notSent;
  });

  return (
    <>
      <p class="unseen" role="log" aria-live="polite">
        {said.value}
      </p>
      <p class="unseen" role="alert">
        {trouble.value}
      </p>
    </>
  );
}
