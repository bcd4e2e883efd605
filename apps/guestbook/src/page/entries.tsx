import type { ReadonlySignal } from "@preact/signals";
import type { JSX } from "preact";
import { useMemo, useRef } from "preact/hooks";
import type { Entry } from "../entry.ts";
import { useNow } from "./clock.ts";
import type { Guestbook } from "./guestbook.ts";
import type { Texts } from "./texts.ts";
import { timeWords, type TimeWords } from "./time.ts";

interface EntriesProps {
  readonly guestbook: Guestbook;
  readonly texts: Texts;
}

export function Entries({ guestbook, texts }: EntriesProps): JSX.Element {
  const words = useMemo(() => timeWords(texts.locale, texts.justNow), [texts]);
  const now = useNow(10_000);
  const list = guestbook.entries.value;
  if (guestbook.reading.value === "first") return <p class="note late">{texts.loading}</p>;
  if (guestbook.reading.value === "failing") return <p class="note">{texts.loadingFailed}</p>;
  if (list.length === 0) return <p class="note">{texts.nobody}</p>;
  return (
    <>
      <ol class="entries" role="list" reversed>
        {list.map((entry) => (
          <EntryItem key={entry.id} entry={entry} fresh={guestbook.fresh.has(entry.id)} words={words} now={now} />
        ))}
      </ol>
      <Older guestbook={guestbook} texts={texts} />
    </>
  );
}

interface EntryItemProps {
  readonly entry: Entry;
  readonly fresh: boolean;
  readonly words: TimeWords;
  readonly now: ReadonlySignal<number>;
}

/** A message with its signature, as in a book. Text of strangers: shown as text, each in its own direction. */
function EntryItem({ entry, fresh, words, now }: EntryItemProps): JSX.Element {
  return (
    <li id={`entry-${entry.id}`} class={fresh ? "entry fresh" : "entry"} tabIndex={-1}>
      <article>
        <p class="message" dir="auto">
          {entry.message}
        </p>
        <p class="signature">
          <bdi class="name" data-ink={inkOf(entry.name)}>
            {entry.name}
          </bdi>
          <time dateTime={new Date(entry.time).toISOString()} title={words.exact(entry.time)}>
            {words.relative(entry.time, now.value)}
          </time>
        </p>
      </article>
    </li>
  );
}

/** Everybody signs in an ink of their own: one of six, always the same for the same name. */
function inkOf(name: string): number {
  let sum = 0;
  for (const character of name) sum = (sum * 31 + (character.codePointAt(0) ?? 0)) % 65_521;
  return sum % 6;
}

function Older({ guestbook, texts }: EntriesProps): JSX.Element {
  const asked = useRef(false);
  const state = guestbook.older.value;
  if (state === "none") return <p class="note beginning">{texts.beginning}</p>;
  const read = async (): Promise<void> => {
    if (asked.current) return;
    asked.current = true;
    const [first] = await guestbook.readOlder();
    asked.current = false;
    // Whoever reads on by keyboard goes on where the new entries begin; the button may be gone.
    if (first !== undefined) document.querySelector<HTMLElement>(`#entry-${first.id}`)?.focus({ preventScroll: true });
  };
  return (
    <p class="note">
      <button type="button" class="quiet" onClick={() => void read()}>
        {{ more: texts.older, loading: texts.olderLoading, failed: texts.olderFailed }[state]}
      </button>
    </p>
  );
}
