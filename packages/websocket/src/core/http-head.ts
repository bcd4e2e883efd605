import { WebSocketError } from "./errors.ts";
import { isHeaderValue, isToken } from "./header-values.ts";

/** The first line and headers of an HTTP/1.1 message. */
export interface HttpHead {
  readonly startLine: string;
  /** By name in lower case; several lines of one name are joined with ", " (RFC 9110 §5.3). */
  readonly headers: ReadonlyMap<string, string>;
}

const CR = 13;
const LF = 10;

/** Reads the head of one HTTP/1.1 message from its bytes as they arrive, RFC 9112 §2. Linear in what is fed. */
export class HttpHeadReader {
  readonly #limit: number;
  #text = "";
  /** How many bytes of `\r\n\r\n` were just seen. */
  #matched = 0;

  /** @param limit bytes the head may have. */
  constructor(limit: number) {
    this.#limit = limit;
  }

  /**
   * Reads on.
   * @returns the head and where its rest begins in `bytes`; undefined when more is needed.
   * @throws WebSocketError HANDSHAKE_TOO_LARGE, HANDSHAKE_INVALID.
   */
  feed(bytes: Uint8Array): { readonly head: HttpHead; readonly rest: number } | undefined {
    for (let at = 0; at < bytes.length; at++) {
      const byte = bytes[at]!;
      if (this.#text.length >= this.#limit)
        throw new WebSocketError("HANDSHAKE_TOO_LARGE", `limit ${this.#limit} bytes`);
      this.#text += String.fromCharCode(byte);
      const wanted = (this.#matched & 1) === 0 ? CR : LF;
      if (byte === wanted) this.#matched++;
      else this.#matched = byte === CR ? 1 : 0;
      if (this.#matched === 4) return { head: parseHead(this.#text), rest: at + 1 };
    }
    return undefined;
  }
}

function parseHead(text: string): HttpHead {
  const lines = text.split("\r\n");
  const headers = new Map<string, string>();
  for (let i = 1; i < lines.length - 2; i++) {
    const line = lines[i]!;
    const colon = line.indexOf(":");
    const name = line.slice(0, Math.max(colon, 0));
    // RFC 9112 §5: no space before the colon, no folded lines.
    if (!isToken(name)) throw new WebSocketError("HANDSHAKE_INVALID", `header line ${i} has no valid name`);
    const value = line.slice(colon + 1).trim();
    if (!isHeaderValue(value)) throw new WebSocketError("HANDSHAKE_INVALID", `header ${name} has an invalid value`);
    const key = name.toLowerCase();
    const before = headers.get(key);
    headers.set(key, before === undefined ? value : `${before}, ${value}`);
  }
  return { startLine: lines[0]!, headers };
}
