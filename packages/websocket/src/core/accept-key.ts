import { encodeBase64 } from "./base64.ts";
import { sha1 } from "./sha1.ts";

/** RFC 6455 §1.3. */
export const ACCEPT_GUID = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

/** `Sec-WebSocket-Accept` for a `Sec-WebSocket-Key`, RFC 6455 §4.2.2 step 5.4. */
export function acceptKey(key: string): string {
  const text = key + ACCEPT_GUID;
  const bytes = new Uint8Array(text.length);
  for (let i = 0; i < text.length; i++) bytes[i] = text.charCodeAt(i);
  return encodeBase64(sha1(bytes));
}
