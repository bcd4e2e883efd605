/** Error codes of the Zuruf protocol and what they mean. For people: nothing that runs reads it, so that no page has to load it. */
export const errorTable = {
  badRequest: "the packet or its values are malformed",
  unauthorized: "the token is missing, wrong or expired",
  forbidden: "this session may not do that",
  notFound: "no such channel, method or client",
  alreadySubscribed: "this connection is subscribed to the channel already",
  notSubscribed: "this connection is not subscribed to the channel",
  rejected: "the application refused the data",
  tooLarge: "the data is larger than the limit",
  tooMany: "a limit on how many of something is reached",
  rateLimited: "too fast: wait as long as the error says",
  notStored: "the publication was not stored",
  unknown: "whether it happened is not known: retry with the same key",
  unavailable: "the backplane cannot be reached now",
  timeout: "no answer within the deadline",
  internal: "the server failed; its log says how",
} as const;
export type ErrorCode = keyof typeof errorTable;

/** Those after which the same request may succeed when tried again. */
export const retryableErrors: ReadonlySet<ErrorCode> = new Set<ErrorCode>([
  "rateLimited",
  "notStored",
  "unknown",
  "unavailable",
  "timeout",
  "internal",
]);

/** An error as it travels: code, sentence, whether a retry can help, and after how many milliseconds (0: no advice). */
export type WireError = readonly [code: string, message: string, retryable: boolean, retryAfterMs: number];

/** A failed request, on either side. `code` is stable and from `errorTable` (or, from the application's own hooks and call handlers, its own word). */
export class ZurufError extends Error {
  override readonly name = "ZurufError";
  readonly code: ErrorCode | (string & {});
  readonly retryable: boolean;
  /** Milliseconds to wait before trying again; 0: no advice. */
  readonly retryAfter: number;
  constructor(
    code: ErrorCode | (string & {}),
    message: string,
    options: { retryable?: boolean; retryAfter?: number; cause?: unknown } = {},
  ) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.code = code;
    this.retryable = options.retryable ?? retryableErrors.has(code as ErrorCode);
    this.retryAfter = options.retryAfter ?? 0;
  }
}
