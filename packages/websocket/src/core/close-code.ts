/**
 * Whether a close frame may carry this status code.
 * RFC 6455 §7.4.1 and IANA's registry: 1000–1003, 1007–1014; §7.4.2: 3000–4999. Never 1004–1006 and 1015.
 */
export function isSendableCloseCode(code: number): boolean {
  if (!Number.isInteger(code)) return false;
  if (code >= 3000) return code <= 4999;
  return (code >= 1000 && code <= 1003) || (code >= 1007 && code <= 1014);
}

/** The codes that are reported and never sent, RFC 6455 §7.1.5. */
export const ReportedCloseCode = {
  /** The peer's close frame had no status code. */
  none: 1005,
  /** The connection ended without a close frame. */
  abnormal: 1006,
} as const;
