import type { ReadonlySignal } from "@preact/signals";
import type { JSX } from "preact";
import { useNow } from "./clock.ts";
import type { Connection } from "./connection.ts";
import type { Outbox, Outgoing } from "./outbox.ts";
import type { Texts } from "./texts.ts";

interface OutgoingEntriesProps {
  readonly outbox: Outbox;
  readonly connection: ReadonlySignal<Connection>;
  readonly texts: Texts;
}

/** What was written here and is not in the book yet, and why. Most entries are in the book before this would be seen. */
export function OutgoingEntries({ outbox, connection, texts }: OutgoingEntriesProps): JSX.Element | null {
  const items = outbox.items.value;
  if (items.length === 0) return null;
  const live = connection.value.state === "live";
  return (
    <ul class="outgoing" role="list">
      {items.toReversed().map((item) => (
        <OutgoingEntry key={item.key} item={item} outbox={outbox} live={live} texts={texts} />
      ))}
    </ul>
  );
}

interface OutgoingEntryProps {
  readonly item: Outgoing;
  readonly outbox: Outbox;
  readonly live: boolean;
  readonly texts: Texts;
}

function OutgoingEntry({ item, outbox, live, texts }: OutgoingEntryProps): JSX.Element {
  const now = useNow(500);
  const seconds = Math.ceil(((item.sendableAt ?? 0) - now.value) / 1000);
  const note = {
    sending: live ? texts.waiting : texts.waitingOffline,
    stored: texts.waiting,
    slowDown: seconds > 0 ? texts.slowDown(seconds) : texts.slowDownOver,
    refused: texts.refused(item.reason ?? ""),
    failed: texts.notSent,
  }[item.state];
  const stuck = item.state !== "sending" && item.state !== "stored";
  return (
    <li class={stuck ? "entry stuck" : `entry waiting${live ? " late" : ""}`}>
      <p class="message" dir="auto">
        {item.message}
      </p>
      <p class="signature">
        <bdi class="name">{item.name}</bdi>
        <span class="reason">{note}</span>
      </p>
      {stuck && (
        <p class="actions">
          {item.state !== "refused" && (
            <button
              type="button"
              class="quiet"
              aria-disabled={seconds > 0 ? "true" : undefined}
              onClick={() => {
                if (seconds <= 0) outbox.again(item.key);
              }}
            >
              {texts.sendAgain}
            </button>
          )}
          <button type="button" class="quiet" onClick={() => outbox.remove(item.key)}>
            {texts.discard}
          </button>
        </p>
      )}
    </li>
  );
}
