/** `JSON.stringify` for texts of which the next is mostly the same as the one before, such as a channel's name or an epoch. */
export function repeatedJson(): (text: string) => string {
  let latest = "";
  let json = `""`;
  return (text) => {
    if (text !== latest) {
      json = JSON.stringify(text);
      latest = text;
    }
    return json;
  };
}
