import type { HandshakeVector } from "../vector.ts";

const key = "dGhlIHNhbXBsZSBub25jZQ==";
const accept = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";

type Headers = Readonly<Record<string, string | readonly string[] | undefined>>;

const head = (start: string, headers: Headers): string => {
  const lines = Object.entries(headers).flatMap(([name, value]) =>
    value === undefined ? [] : [value].flat().map((one) => `${name}: ${one}\r\n`),
  );
  return `${start}\r\n${lines.join("")}\r\n`;
};

const request = (changed: Headers = {}, start = "GET /echo HTTP/1.1"): string =>
  head(start, {
    Host: "server.example.com",
    Upgrade: "websocket",
    Connection: "Upgrade",
    "Sec-WebSocket-Key": key,
    "Sec-WebSocket-Version": "13",
    ...changed,
  });

const response = (changed: Headers = {}, start = "HTTP/1.1 101 Switching Protocols"): string =>
  head(start, { Upgrade: "websocket", Connection: "Upgrade", "Sec-WebSocket-Accept": accept, ...changed });

type Bare = Omit<HandshakeVector, "role">;

const requests: readonly Bare[] = [
  {
    id: "1.3-server",
    section: "RFC 6455 §1.3, §4.2.2",
    says: "the standard's own handshake",
    head: request({ Origin: "http://example.com", "Sec-WebSocket-Protocol": "chat, superchat" }, "GET /chat HTTP/1.1"),
    accept,
    outcome: "open",
  },
  {
    id: "4.2.2-browser",
    section: "RFC 6455 §4.2.2",
    says: "a real browser's key",
    head: request({ "Sec-WebSocket-Key": "EchPITmgOD5XsQiAQb1xDw==" }),
    accept: "VcEH0BKcMSH8rqBZw+KcTGS31hk=",
    outcome: "open",
  },
  {
    id: "4.2.1-case",
    section: "RFC 6455 §4.2.1 items 3, 4",
    says: "header names and these two values ignore case",
    head: head("GET /echo HTTP/1.1", {
      HOST: "a",
      upgrade: "WebSocket",
      CONNECTION: "UPGRADE",
      "sec-websocket-key": key,
      "SEC-WEBSOCKET-VERSION": "13",
    }),
    accept,
    outcome: "open",
  },
  {
    id: "4.2.1-connection-list",
    section: "RFC 6455 §4.2.1 item 4",
    says: "Connection may hold other tokens (Firefox sends keep-alive)",
    head: request({ Connection: "keep-alive, Upgrade" }),
    accept,
    outcome: "open",
  },
  {
    id: "4.2.1-connection-lines",
    section: "RFC 6455 §4.2.1 item 4",
    says: "or be two lines",
    head: request({ Connection: ["keep-alive", "Upgrade"] }),
    accept,
    outcome: "open",
  },
  {
    id: "4.2.1-spaces",
    section: "RFC 6455 §4.2.1, RFC 9110 §5.5",
    says: "white space around values does not count",
    head: request({ Upgrade: "  websocket  ", "Sec-WebSocket-Version": " 13\t" }),
    accept,
    outcome: "open",
  },
  {
    id: "4.2.1-query",
    section: "RFC 6455 §4.2.1 item 1",
    says: "a request target with a query",
    head: request({}, "GET /echo?a=b&c HTTP/1.1"),
    accept,
    outcome: "open",
  },
  {
    id: "4.1-offers",
    section: "RFC 6455 §4.1, §9.1",
    says: "unknown extensions and subprotocols are not an error",
    head: request({
      "Sec-WebSocket-Extensions": 'x-unknown; a=1; b="two", x-other',
      "Sec-WebSocket-Protocol": "x.unknown",
    }),
    accept,
    outcome: "open",
  },
  {
    id: "4.1-unknown-headers",
    section: "RFC 6455 §4.1 item 12",
    says: "other headers are none of this protocol's business",
    head: request({ Cookie: "a=b", "X-Custom": "1", constructor: "x", __proto__x: "y" }),
    accept,
    outcome: "open",
  },
  {
    id: "4.2.1-no-upgrade",
    section: "RFC 6455 §4.2.1 item 3",
    says: "without Upgrade it is an ordinary request",
    head: request({ Upgrade: undefined, Connection: "close" }),
    outcome: { refuses: [400, 404, 405, 426] },
  },
  {
    id: "4.2.1-other-upgrade",
    section: "RFC 6455 §4.2.1 item 3",
    says: "an upgrade to something else",
    head: request({ Upgrade: "h2c" }),
    outcome: { refuses: [200, 400, 404, 426, 501] },
  },
  {
    id: "4.2.1-no-key",
    section: "RFC 6455 §4.2.1 item 5",
    says: "no key",
    head: request({ "Sec-WebSocket-Key": undefined }),
    outcome: { refuses: [400, 426] },
  },
  {
    id: "4.2.1-empty-key",
    section: "RFC 6455 §4.2.1 item 5",
    says: "an empty key",
    head: request({ "Sec-WebSocket-Key": "" }),
    outcome: { refuses: [400] },
  },
  {
    id: "4.2.1-short-key",
    section: "RFC 6455 §4.2.1 item 5",
    says: "a key of 15 bytes",
    head: request({ "Sec-WebSocket-Key": "AAAAAAAAAAAAAAAAAAAA" }),
    outcome: { refuses: [400] },
  },
  {
    id: "4.2.1-long-key",
    section: "RFC 6455 §4.2.1 item 5",
    says: "a key of 17 bytes",
    head: request({ "Sec-WebSocket-Key": "AAAAAAAAAAAAAAAAAAAAAAA=" }),
    outcome: { refuses: [400] },
  },
  {
    id: "4.2.1-bad-key",
    section: "RFC 6455 §4.2.1 item 5",
    says: "a key that is not base64",
    head: request({ "Sec-WebSocket-Key": "dGhlIHNhbXBsZS!ub25jZQ==" }),
    outcome: { refuses: [400] },
  },
  {
    id: "4.2.1-two-keys",
    section: "RFC 6455 §11.3.1",
    says: "two keys",
    head: request({ "Sec-WebSocket-Key": [key, "EchPITmgOD5XsQiAQb1xDw=="] }),
    outcome: { refuses: [400] },
  },
  {
    id: "4.4-no-version",
    section: "RFC 6455 §4.2.1 item 6, §4.4",
    says: "no version",
    head: request({ "Sec-WebSocket-Version": undefined }),
    outcome: { refuses: [400, 426] },
  },
  ...["8", "12", "14", "0", "013", "13a", "255"].map((version): Bare => ({
    id: `4.4-version-${version}`,
    section: "RFC 6455 §4.2.2 item 4, §4.4",
    says: `version ${version}: refused, and told which one is spoken`,
    head: request({ "Sec-WebSocket-Version": version }),
    outcome: { refuses: [400, 426] },
  })),
  {
    id: "4.2.1-post",
    section: "RFC 6455 §4.1 item 2",
    says: "POST is not GET",
    head: request({ "Content-Length": "0" }, "POST /echo HTTP/1.1"),
    outcome: { refuses: [400, 404, 405, 426] },
  },
  {
    id: "4.1-bad-protocol",
    section: "RFC 6455 §4.1 item 10",
    says: "a subprotocol that is no token",
    head: request({ "Sec-WebSocket-Protocol": "a b" }),
    outcome: { refuses: [400] },
  },
  {
    id: "4.1-repeated-protocol",
    section: "RFC 6455 §4.1 item 10",
    says: "a subprotocol offered twice",
    head: request({ "Sec-WebSocket-Protocol": "chat, chat" }),
    outcome: { refuses: [400] },
  },
  {
    id: "9.1-bad-extensions",
    section: "RFC 6455 §9.1",
    says: "an extension list that does not parse",
    head: request({ "Sec-WebSocket-Extensions": "permessage-deflate; =1" }),
    outcome: { refuses: [400] },
  },
];

const sent = { key, protocols: ["chat", "superchat"], deflate: false } as const;

const responses: readonly Bare[] = [
  {
    id: "1.3-client",
    section: "RFC 6455 §1.3, §4.1",
    says: "the standard's own answer",
    sent,
    head: response({ "Sec-WebSocket-Protocol": "chat" }),
    outcome: "open",
  },
  {
    id: "4.1-no-protocol",
    section: "RFC 6455 §4.1",
    says: "the server may choose no subprotocol",
    sent,
    head: response(),
    outcome: "open",
  },
  {
    id: "4.1-case-client",
    section: "RFC 6455 §4.1 items 2, 3",
    says: "values ignore case",
    sent,
    head: response({ Upgrade: "WebSocket", Connection: "keep-alive, upgrade" }),
    outcome: "open",
  },
  {
    id: "4.1-browser-key",
    section: "RFC 6455 §4.1 item 4",
    says: "a real browser's key",
    sent: { ...sent, key: "EchPITmgOD5XsQiAQb1xDw==" },
    head: response({ "Sec-WebSocket-Accept": "VcEH0BKcMSH8rqBZw+KcTGS31hk=" }),
    outcome: "open",
  },
  {
    id: "4.1-status-200",
    section: "RFC 6455 §4.1 item 1",
    says: "200 is not 101",
    sent,
    head: response({}, "HTTP/1.1 200 OK"),
    outcome: "fails",
  },
  {
    id: "4.1-status-401",
    section: "RFC 6455 §4.1 item 1",
    says: "401",
    sent,
    head: response({}, "HTTP/1.1 401 Unauthorized"),
    outcome: "fails",
  },
  {
    id: "4.1-not-http",
    section: "RFC 6455 §4.1",
    says: "no HTTP at all",
    sent,
    head: "SSH-2.0-OpenSSH_9.6\r\n\r\n",
    outcome: "fails",
  },
  {
    id: "4.1-no-upgrade",
    section: "RFC 6455 §4.1 item 2",
    says: "no Upgrade",
    sent,
    head: response({ Upgrade: undefined }),
    outcome: "fails",
  },
  {
    id: "4.1-other-upgrade",
    section: "RFC 6455 §4.1 item 2",
    says: "another Upgrade",
    sent,
    head: response({ Upgrade: "h2c" }),
    outcome: "fails",
  },
  {
    id: "4.1-no-connection",
    section: "RFC 6455 §4.1 item 3",
    says: "no Connection",
    sent,
    head: response({ Connection: undefined }),
    outcome: "fails",
  },
  {
    id: "4.1-no-accept",
    section: "RFC 6455 §4.1 item 4",
    says: "no Sec-WebSocket-Accept",
    sent,
    head: response({ "Sec-WebSocket-Accept": undefined }),
    outcome: "fails",
  },
  {
    id: "4.1-wrong-accept",
    section: "RFC 6455 §4.1 item 4",
    says: "another key's",
    sent,
    head: response({ "Sec-WebSocket-Accept": "VcEH0BKcMSH8rqBZw+KcTGS31hk=" }),
    outcome: "fails",
  },
  {
    id: "4.1-accept-case",
    section: "RFC 6455 §4.1 item 4",
    says: "base64 does not ignore case",
    sent,
    head: response({ "Sec-WebSocket-Accept": accept.toLowerCase() }),
    outcome: "fails",
  },
  {
    id: "4.1-unoffered-protocol",
    section: "RFC 6455 §4.1 item 6",
    says: "a subprotocol that was not offered",
    sent,
    head: response({ "Sec-WebSocket-Protocol": "other" }),
    outcome: "fails",
  },
  {
    id: "4.1-two-protocols",
    section: "RFC 6455 §4.1 item 6",
    says: "two subprotocols",
    sent,
    head: response({ "Sec-WebSocket-Protocol": "chat, superchat" }),
    outcome: "fails",
  },
  {
    id: "4.1-unoffered-extension",
    section: "RFC 6455 §4.1 item 5",
    says: "an extension that was not offered",
    sent,
    head: response({ "Sec-WebSocket-Extensions": "permessage-deflate" }),
    outcome: "fails",
  },
];

export const handshake: readonly HandshakeVector[] = [
  ...requests.map((it): HandshakeVector => ({ ...it, role: "server" })),
  ...responses.map((it): HandshakeVector => ({ ...it, role: "client" })),
];
