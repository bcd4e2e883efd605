const ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/** Base64 with padding, RFC 4648 §4. */
export function encodeBase64(bytes: Uint8Array): string {
  let text = "";
  for (let i = 0; i < bytes.length; i += 3) {
    const three = (bytes[i]! << 16) | ((bytes[i + 1] ?? 0) << 8) | (bytes[i + 2] ?? 0);
    text += ALPHABET[three >>> 18]! + ALPHABET[(three >>> 12) & 63]!;
    text += i + 1 < bytes.length ? ALPHABET[(three >>> 6) & 63]! : "=";
    text += i + 2 < bytes.length ? ALPHABET[three & 63]! : "=";
  }
  return text;
}

/** Whether a string is the base64 of exactly 16 bytes, as `Sec-WebSocket-Key` must be, RFC 6455 §4.1. */
export function isBase64Of16Bytes(text: string): boolean {
  if (text.length !== 24 || text[22] !== "=" || text[23] !== "=") return false;
  for (let i = 0; i < 22; i++) {
    if (!ALPHABET.includes(text[i]!)) return false;
  }
  return true;
}
