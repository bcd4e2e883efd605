/** Bytes of a channel name at most. */
export const maxChannelBytes = 200;
/** Bytes of an idempotency key at most. */
export const maxKeyBytes = 128;
/** Bytes of an epoch at most. */
export const maxEpochBytes = 64;
/** Bytes of a call's method or of whom a direct message goes to, at most. */
export const maxNameBytes = 256;

/** UTF-8 bytes of a well-formed string; a lone surrogate counts 3. */
export function utf8Length(text: string): number {
  let bytes = text.length;
  for (let i = 0; i < text.length; i++) {
    const unit = text.charCodeAt(i);
    if (unit < 0x80) continue;
    if (unit < 0x800) bytes += 1;
    else if (unit >= 0xd800 && unit < 0xdc00 && (text.charCodeAt(i + 1) & 0xfc00) === 0xdc00) {
      bytes += 2;
      i += 1;
    } else bytes += 2;
  }
  return bytes;
}

// eslint-disable-next-line no-control-regex -- control characters are what this looks for
const forbidden = /[\u0000-\u0020\u007f-\u009f{}\ud800-\udfff]/u;

/** 1–200 bytes of UTF-8 without control characters, space, `{` or `}`. (A leading `$` is reserved; that is the server's to refuse.) */
export function isChannelName(value: unknown): value is string {
  if (typeof value !== "string" || value.length === 0 || value.length > maxChannelBytes) return false;
  for (let i = 0; i < value.length; i++) {
    const unit = value.charCodeAt(i);
    // Most names are plain; what else there is, is looked at closely.
    if (unit <= 0x20 || unit >= 0x7f || unit === 0x7b || unit === 0x7d)
      return !forbidden.test(value) && utf8Length(value) <= maxChannelBytes;
  }
  return true;
}

/** A well-formed string of 1 to `max` bytes. */
export function isText(value: unknown, max: number): value is string {
  return (
    typeof value === "string" &&
    value.length > 0 &&
    value.length <= max &&
    !/[\ud800-\udfff]/u.test(value) &&
    utf8Length(value) <= max
  );
}
