import type { JSX } from "preact";
import { Announcer } from "./announcer.tsx";
import { ConnectionState } from "./connection-state.tsx";
import { Entries } from "./entries.tsx";
import { EntryForm } from "./entry-form.tsx";
import type { Guestbook } from "./guestbook.ts";
import { OutgoingEntries } from "./outgoing-entries.tsx";
import type { Texts } from "./texts.ts";

interface AppProps {
  readonly guestbook: Guestbook;
  readonly texts: Texts;
  /** Remembers the writer's name between visits. */
  readonly storage: Storage | undefined;
}

/** An open book: the left page to write on, the right page to read. */
export function App({ guestbook, texts, storage }: AppProps): JSX.Element {
  return (
    <>
      <div class="book">
        <section class="page left" aria-label={texts.form}>
          <header>
            <h1>{texts.title}</h1>
            <p class="tagline">{texts.tagline}</p>
          </header>
          <EntryForm texts={texts} storage={storage} write={(draft) => guestbook.outbox.add(draft)} />
          <ConnectionState connection={guestbook.connection} texts={texts} />
        </section>
        <main class="page right" aria-labelledby="entries-title">
          <h2 id="entries-title">{texts.entries}</h2>
          <OutgoingEntries outbox={guestbook.outbox} connection={guestbook.connection} texts={texts} />
          <Entries guestbook={guestbook} texts={texts} />
        </main>
      </div>
      <Announcer guestbook={guestbook} texts={texts} />
    </>
  );
}
