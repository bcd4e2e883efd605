/** Close codes of the Zuruf protocol (docs/protocol.md). Their range alone decides what a client does. */
export const CloseCode = {
  badPacket: 4000,
  unauthorized: 4001,
  forbidden: 4002,
  unsupported: 4003,
  disconnected: 4004,
  resumedElsewhere: 4005,
  draining: 4400,
  overloaded: 4401,
  connectTimeout: 4402,
  rateLimited: 4403,
  unavailable: 4404,
  slow: 4700,
  silent: 4701,
  expired: 4702,
} as const;
export type CloseCode = (typeof CloseCode)[keyof typeof CloseCode];

/** What a client does after a close: stay away, return with backoff, or return at once (with jitter). */
export function whenToReturn(code: number): "never" | "later" | "now" {
  if (code >= 4000 && code < 4400) return "never";
  if (code >= 4700 && code < 5000) return "now";
  return "later";
}
