/** Code units that shape JSON. */
const quote = 34;
const backslash = 92;
const comma = 44;

/** The index after the string whose opening quote is at `at`; the text's length where it never ends. */
function afterString(text: string, at: number): number {
  let end = text.indexOf('"', at + 1);
  while (end > 0) {
    let slashes = 0;
    while (text.charCodeAt(end - 1 - slashes) === backslash) slashes++;
    if (slashes % 2 === 0) return end + 1;
    end = text.indexOf('"', end + 1);
  }
  return text.length;
}

/** Whether no more than `max` arrays and objects are open at once; linear, for any text. */
export function depthWithin(text: string, max: number): boolean {
  let depth = 0;
  for (let at = 0; at < text.length;) {
    const unit = text.charCodeAt(at);
    if (unit === quote) {
      at = afterString(text, at);
      continue;
    }
    // "[" 91 and "{" 123, "]" 93 and "}" 125: equal but for one bit.
    if ((unit | 32) === 123) {
      if (++depth > max) return false;
    } else if ((unit | 32) === 125) depth--;
    at++;
  }
  return true;
}

/** The original text of the element after the first `skip` ones, which is the last, of a text that is a valid JSON array. */
export function lastElement(text: string, skip: number): string {
  let depth = 0;
  let left = skip;
  let at = text.indexOf("[") + 1;
  while (left > 0) {
    const unit = text.charCodeAt(at);
    if (unit === quote) {
      at = afterString(text, at);
      continue;
    }
    if ((unit | 32) === 123) depth++;
    else if ((unit | 32) === 125) depth--;
    else if (unit === comma && depth === 0) left--;
    at++;
  }
  return text.slice(at, text.lastIndexOf("]")).trim();
}
