/** `JSON.stringify` between two constants, for texts of which the next is mostly the same as the one before, such as a channel's name or an epoch. */
export function repeatedJson(before: string, after: string): (text: string) => string {
  let latest = "";
  let json = `${before}""${after}`;
  return (text) => {
    if (text !== latest) {
      json = `${before}${JSON.stringify(text)}${after}`;
      latest = text;
    }
    return json;
  };
}
