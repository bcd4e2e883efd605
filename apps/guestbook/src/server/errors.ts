/** What can keep the guestbook from starting. Each message is one line that says what to do; the command prints it and exits. */
export const guestbookErrors = {
  instancesNeedServer: "the embedded database belongs to one process",
  folderInUse: "another process uses the data folder",
  folderUnusable: "the data folder cannot be written",
  badDatabaseUrl: "DATABASE_URL is not the address of a PostgreSQL database",
  databaseUnreachable: "PostgreSQL cannot be used",
  databaseNewer: "the database was written by a newer version",
  pageMissing: "the page is not built",
} as const;

/** A failure to start; `code` is a key of `guestbookErrors` and stable. */
export class GuestbookError extends Error {
  override readonly name = "GuestbookError";
  readonly code: keyof typeof guestbookErrors;
  constructor(code: keyof typeof guestbookErrors, message: string, cause?: unknown) {
    super(message, cause === undefined ? undefined : { cause });
    this.code = code;
  }
}

/** One line that says what an unknown error is about. */
export function reasonOf(error: unknown): string {
  if (error instanceof AggregateError && error.message === "") return reasonOf(error.errors[0]);
  const text = error instanceof Error ? error.message : String(error);
  return text.split("\n", 1)[0] ?? text;
}
