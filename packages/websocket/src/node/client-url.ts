/** A scheme's WebSocket counterpart: WebSockets Standard, § 3.1, obtaining the URL record, steps 3 and 4. */
const schemes: ReadonlyMap<string, string> = new Map([
  ["http:", "ws:"],
  ["https:", "wss:"],
  ["ws:", "ws:"],
  ["wss:", "wss:"],
]);

/**
 * Reads a WebSocket's URL: `ws:` and `wss:`, and `http:` and `https:` as the same.
 * @param base what a relative URL is relative to. @throws DOMException SyntaxError, also for a URL with a fragment.
 */
export function webSocketUrl(text: string, base?: URL): URL {
  let url: URL;
  try {
    url = new URL(text, base);
  } catch (cause) {
    throw new DOMException(`${JSON.stringify(text)} is no absolute URL`, { name: "SyntaxError", cause });
  }
  const scheme = schemes.get(url.protocol);
  if (scheme === undefined) {
    throw new DOMException(`a WebSocket's URL starts with ws: or wss:, not ${url.protocol}`, "SyntaxError");
  }
  url.protocol = scheme;
  // `url.hash` is empty for an empty fragment too, which is refused like any other; a `#` elsewhere would be percent-encoded.
  if (url.href.includes("#")) {
    throw new DOMException("a WebSocket's URL has no fragment: remove `#` and what follows", "SyntaxError");
  }
  return url;
}
