/** One extension as a header lists it, RFC 6455 §9.1. A parameter without a value is `true`. */
export interface Extension {
  readonly name: string;
  /** In their order; a name may be there twice, which no extension known here allows. */
  readonly parameters: readonly (readonly [name: string, value: string | true])[];
}

/** Whether a character code may be in a token, RFC 9110 §5.6.2. */
function isTokenCode(code: number): boolean {
  if (code >= 0x61 && code <= 0x7a) return true; // a–z
  if (code >= 0x41 && code <= 0x5a) return true; // A–Z
  if (code >= 0x30 && code <= 0x39) return true; // 0–9
  switch (code) {
    case 0x21: // !
    case 0x23: // #
    case 0x24: // $
    case 0x25: // %
    case 0x26: // &
    case 0x27: // '
    case 0x2a: // *
    case 0x2b: // +
    case 0x2d: // -
    case 0x2e: // .
    case 0x5e: // ^
    case 0x5f: // _
    case 0x60: // `
    case 0x7c: // |
    case 0x7e: // ~
      return true;
    default:
      return false;
  }
}

/** Whether a string is a token, RFC 9110 §5.6.2. */
export function isToken(text: string): boolean {
  if (text === "") return false;
  for (let i = 0; i < text.length; i++) {
    if (!isTokenCode(text.charCodeAt(i))) return false;
  }
  return true;
}

/** Whether a string may be a header's value, RFC 9110 §5.5: no control characters but tab, nothing beyond one byte. */
export function isHeaderValue(text: string): boolean {
  for (let i = 0; i < text.length; i++) {
    const code = text.charCodeAt(i);
    if ((code < 0x20 && code !== 0x09) || code === 0x7f || code > 0xff) return false;
  }
  return true;
}

/** Reads a header's value from left to right, once: its time is linear, whatever a peer sends. */
class Reader {
  readonly text: string;
  at = 0;

  constructor(text: string) {
    this.text = text;
  }

  get done(): boolean {
    return this.at >= this.text.length;
  }

  /** Optional white space, RFC 9110 §5.6.3. */
  skipSpace(): void {
    while (this.at < this.text.length) {
      const code = this.text.charCodeAt(this.at);
      if (code !== 0x20 && code !== 0x09) return;
      this.at++;
    }
  }

  /** Steps over one character if it is next, with the white space around it. */
  take(character: string): boolean {
    this.skipSpace();
    if (this.text[this.at] !== character) return false;
    this.at++;
    this.skipSpace();
    return true;
  }

  /** A token; empty when there is none. */
  token(): string {
    const start = this.at;
    while (this.at < this.text.length && isTokenCode(this.text.charCodeAt(this.at))) this.at++;
    return this.text.slice(start, this.at);
  }

  /** A quoted string's content, RFC 9110 §5.6.4; undefined when it is malformed. */
  quoted(): string | undefined {
    let content = "";
    this.at++; // the opening quote
    while (!this.done) {
      let character = this.text[this.at++]!;
      if (character === '"') return content;
      if (character === "\\") {
        if (this.done) return undefined;
        character = this.text[this.at++]!;
      }
      content += character;
    }
    return undefined;
  }
}

/** A list of tokens, RFC 9110 §5.6.1 (empty elements are allowed). @returns undefined when it is malformed. */
export function parseTokens(value: string): string[] | undefined {
  const tokens: string[] = [];
  const reader = new Reader(value);
  reader.skipSpace();
  while (!reader.done) {
    if (reader.take(",")) continue;
    const token = reader.token();
    if (token === "") return undefined;
    tokens.push(token);
    reader.skipSpace();
    if (!reader.done && !reader.take(",")) return undefined;
  }
  return tokens;
}

/** Whether a list of tokens has this one, whatever its case. @param wanted in lower case. */
export function hasToken(value: string | undefined, wanted: string): boolean {
  if (value === undefined) return false;
  const tokens = parseTokens(value);
  return tokens !== undefined && tokens.some((token) => token.toLowerCase() === wanted);
}

/** `Sec-WebSocket-Extensions`, RFC 6455 §9.1. @returns undefined when it is malformed. */
export function parseExtensions(value: string): Extension[] | undefined {
  const extensions: Extension[] = [];
  const reader = new Reader(value);
  reader.skipSpace();
  while (!reader.done) {
    if (reader.take(",")) continue;
    const name = reader.token();
    if (name === "") return undefined;
    const parameters: [string, string | true][] = [];
    while (reader.take(";")) {
      const parameter = reader.token();
      if (parameter === "") return undefined;
      if (!reader.take("=")) {
        parameters.push([parameter, true]);
        continue;
      }
      const text = reader.text[reader.at] === '"' ? reader.quoted() : reader.token();
      // RFC 6455 §9.1: the value after unquoting MUST conform to the token rule.
      if (text === undefined || !isToken(text)) return undefined;
      parameters.push([parameter, text]);
    }
    extensions.push({ name, parameters });
    if (!reader.done && !reader.take(",")) return undefined;
  }
  return extensions;
}

/** Writes extensions as `Sec-WebSocket-Extensions` has them. */
export function formatExtensions(extensions: readonly Extension[]): string {
  return extensions
    .map(({ name, parameters }) =>
      [name, ...parameters.map(([key, value]) => (value === true ? key : `${key}=${value}`))].join("; "),
    )
    .join(", ");
}
