import { WebSocketError } from "./errors.ts";
import { MAX_CONTROL_PAYLOAD } from "./frame.ts";
import { encodeUtf8 } from "./utf8.ts";

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

const NOTHING = new Uint8Array(0);

/** A close frame's payload, RFC 6455 §5.5.1. @throws WebSocketError INVALID_ARGUMENT */
export function closePayload(code: number | undefined, reason: string): Uint8Array {
  if (code === undefined) {
    if (reason !== "") throw new WebSocketError("INVALID_ARGUMENT", "a close reason needs a code");
    return NOTHING;
  }
  if (!isSendableCloseCode(code)) {
    throw new WebSocketError("INVALID_ARGUMENT", `close code ${code}; use 1000–1003, 1007–1014 or 3000–4999`);
  }
  const text = encodeUtf8(reason);
  if (text.length > MAX_CONTROL_PAYLOAD - 2) {
    throw new WebSocketError("INVALID_ARGUMENT", `a close reason is at most 123 bytes of UTF-8, not ${text.length}`);
  }
  const payload = new Uint8Array(2 + text.length);
  payload[0] = code >>> 8;
  payload[1] = code & 0xff;
  payload.set(text, 2);
  return payload;
}
