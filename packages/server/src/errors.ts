/** What can go wrong before a server serves, and what each code means. */
export const serverErrors = {
  badConfig: "an option has an unknown name or a bad value; the message names it",
  cannotListen: "the address or port cannot be listened on",
  backplaneFailed: "the backplane cannot be used; the message says which and why",
  driverMissing: "the backplane's driver is not installed; the message has the command that installs it",
  applicationFailed: "the application module cannot be loaded, refused the configuration, or failed to start",
  instanceFailed: "an instance of the cluster could not be started",
  closed: "the server is closed or closing",
} as const;
export type ServerErrorCode = keyof typeof serverErrors;

/** A server that cannot do what it was told: `code` is stable and from `serverErrors`; `message` is one line that says what to do next. */
export class ServerError extends Error {
  override readonly name = "ServerError";
  readonly code: ServerErrorCode;
  constructor(code: ServerErrorCode, message: string, cause?: unknown) {
    super(message, cause === undefined ? undefined : { cause });
    this.code = code;
  }
}

/** The first line of what anything thrown says about itself. */
export function oneLine(error: unknown): string {
  const text = error instanceof Error ? error.message || error.name : String(error);
  return text.trim().split("\n", 1)[0] ?? "";
}
