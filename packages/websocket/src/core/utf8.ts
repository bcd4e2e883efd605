/**
 * Whether a range of bytes is well-formed UTF-8, RFC 3629 §4: no overlong forms, no surrogates, nothing beyond U+10FFFF.
 * Linear, allocates nothing.
 */
export function isUtf8(bytes: Uint8Array, start = 0, end: number = bytes.length): boolean {
  let at = start;
  while (at < end) {
    const first = bytes[at++]!;
    if (first < 0x80) continue;
    let more: number;
    let lowest = 0x80;
    let highest = 0xbf;
    if (first < 0xc2) {
      return false; // a continuation byte, or an overlong form of ASCII
    } else if (first < 0xe0) {
      more = 1;
    } else if (first < 0xf0) {
      more = 2;
      if (first === 0xe0) lowest = 0xa0;
      else if (first === 0xed) highest = 0x9f; // surrogates
    } else if (first < 0xf5) {
      more = 3;
      if (first === 0xf0) lowest = 0x90;
      else if (first === 0xf4) highest = 0x8f; // beyond U+10FFFF
    } else {
      return false;
    }
    if (at + more > end) return false;
    const second = bytes[at++]!;
    if (second < lowest || second > highest) return false;
    for (; more > 1; more--) {
      if ((bytes[at++]! & 0xc0) !== 0x80) return false;
    }
  }
  return true;
}

const CHUNK = 4096;

/** Decodes bytes that `isUtf8` has approved. Shells have faster ways; this one needs nothing from its platform. */
export function decodeUtf8(bytes: Uint8Array, start = 0, end: number = bytes.length): string {
  let text = "";
  let units: number[] = [];
  let at = start;
  while (at < end) {
    const first = bytes[at++]!;
    let point = first;
    if (first >= 0xf0) {
      point = ((first & 7) << 18) | ((bytes[at]! & 63) << 12) | ((bytes[at + 1]! & 63) << 6) | (bytes[at + 2]! & 63);
      at += 3;
    } else if (first >= 0xe0) {
      point = ((first & 15) << 12) | ((bytes[at]! & 63) << 6) | (bytes[at + 1]! & 63);
      at += 2;
    } else if (first >= 0xc0) {
      point = ((first & 31) << 6) | (bytes[at]! & 63);
      at += 1;
    }
    if (point > 0xffff) {
      units.push(0xd800 + ((point - 0x10000) >> 10), 0xdc00 + ((point - 0x10000) & 0x3ff));
    } else {
      units.push(point);
    }
    if (units.length >= CHUNK) {
      text += String.fromCharCode(...units);
      units = [];
    }
  }
  return text + String.fromCharCode(...units);
}

/** Encodes a string; a lone surrogate becomes U+FFFD, as WHATWG's UTF-8 encoder does it. */
export function encodeUtf8(text: string): Uint8Array {
  const bytes = new Uint8Array(text.length * 3);
  let length = 0;
  for (const character of text) {
    let point = character.codePointAt(0)!;
    if (point >= 0xd800 && point <= 0xdfff) point = 0xfffd;
    if (point < 0x80) {
      bytes[length++] = point;
    } else if (point < 0x800) {
      bytes[length++] = 0xc0 | (point >> 6);
      bytes[length++] = 0x80 | (point & 63);
    } else if (point < 0x10000) {
      bytes[length++] = 0xe0 | (point >> 12);
      bytes[length++] = 0x80 | ((point >> 6) & 63);
      bytes[length++] = 0x80 | (point & 63);
    } else {
      bytes[length++] = 0xf0 | (point >> 18);
      bytes[length++] = 0x80 | ((point >> 12) & 63);
      bytes[length++] = 0x80 | ((point >> 6) & 63);
      bytes[length++] = 0x80 | (point & 63);
    }
  }
  return bytes.slice(0, length);
}
