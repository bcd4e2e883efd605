/** Error codes of the Zuruf protocol: whether the same request may succeed when tried again, and what it means. */
export const errorTable = {
  badRequest: { retryable: false, meaning: "the packet or its values are malformed" },
  unauthorized: { retryable: false, meaning: "the token is missing, wrong or expired" },
  forbidden: { retryable: false, meaning: "this session may not do that" },
  notFound: { retryable: false, meaning: "no such channel, method or client" },
  alreadySubscribed: { retryable: false, meaning: "this connection is subscribed to the channel already" },
  notSubscribed: { retryable: false, meaning: "this connection is not subscribed to the channel" },
  rejected: { retryable: false, meaning: "the application refused the data" },
  tooLarge: { retryable: false, meaning: "the data is larger than the limit" },
  tooMany: { retryable: false, meaning: "a limit on how many of something is reached" },
  rateLimited: { retryable: true, meaning: "too fast: wait as long as the error says" },
  notStored: { retryable: true, meaning: "the publication was not stored" },
  unknown: { retryable: true, meaning: "whether it happened is not known: retry with the same key" },
  unavailable: { retryable: true, meaning: "the backplane cannot be reached now" },
  timeout: { retryable: true, meaning: "no answer within the deadline" },
  internal: { retryable: true, meaning: "the server failed; its log says how" },
} as const;
export type ErrorCode = keyof typeof errorTable;

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
    this.retryable = options.retryable ?? (Object.hasOwn(errorTable, code) && errorTable[code as ErrorCode].retryable);
    this.retryAfter = options.retryAfter ?? 0;
  }
}
