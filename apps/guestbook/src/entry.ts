/** What a guestbook entry is, and the limits that the form and the server share. Runs in the browser and in Node. */

/** One entry as it is stored, published and served. */
export interface Entry {
  /** Increases with every entry; safe integer > 0. */
  readonly id: number;
  readonly name: string;
  readonly message: string;
  /** When it was stored, in milliseconds since 1970. */
  readonly time: number;
}

/** Whether data that came over the network has the shape of an entry. */
export function isEntry(data: unknown): data is Entry {
  const { id, name, message, time } = (data ?? {}) as Partial<Record<keyof Entry, unknown>>;
  return (
    Number.isSafeInteger(id) && typeof name === "string" && typeof message === "string" && typeof time === "number"
  );
}

/** What someone writes into the form. */
export interface Draft {
  readonly name: string;
  readonly message: string;
}

/** One answer of `GET /entries`. */
export interface EntriesPage {
  /** Newest first. */
  readonly entries: readonly Entry[];
  /** Whether entries older than the last one exist. */
  readonly older: boolean;
  /**
   * The channel's position, read before the entries: whoever subscribes from it misses nothing.
   * Null on pages of older entries, and while the backplane cannot be asked.
   */
  readonly position: { readonly epoch: string; readonly offset: number } | null;
}

export const channelName = "guestbook";

/** Longest name and message, in Unicode code points after tidying; both need at least one visible character. */
export const limits = { name: 50, message: 500 } as const;

/** Entries per page of `GET /entries`: unless asked otherwise, and at most. */
export const pageSize = { standard: 20, most: 100 } as const;

/** What is wrong with a field; undefined: nothing. */
export type Flaw = "empty" | "tooLong";

/** Length in Unicode code points: an emoji outside the basic plane counts one, not two. */
export function lengthOf(text: string): number {
  let length = 0;
  for (const _ of text) length++;
  return length;
}

/** A name as it is stored: one line, without control characters (PostgreSQL stores no NUL) and half surrogate pairs. */
export function tidyName(text: string): string {
  return text
    .replaceAll(/\p{Cs}/gu, "\u{FFFD}")
    .replaceAll(/[\s\p{Cc}]+/gu, " ")
    .trim();
}

/** A message as it is stored: line breaks kept as `\n`, at most one empty line in a row, no other control characters. */
export function tidyMessage(text: string): string {
  return text
    .replaceAll(/\r\n?|[\u2028\u2029]/g, "\n")
    .replaceAll(/\p{Cs}/gu, "\u{FFFD}")
    .replaceAll(/[^\P{Cc}\n]/gu, " ")
    .replaceAll(/[^\S\n]+$/gm, "")
    .replaceAll(/\n{3,}/g, "\n\n")
    .trim();
}

/** Checks a tidied field. Spaces and invisible characters alone count as empty. */
export function flawOf(field: keyof typeof limits, tidied: string): Flaw | undefined {
  if (lengthOf(tidied) > limits[field]) return "tooLong";
  return /[^\p{C}\p{Z}]/u.test(tidied) ? undefined : "empty";
}
