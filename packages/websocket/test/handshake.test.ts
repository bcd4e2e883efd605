import { createHash } from "node:crypto";
import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { acceptKey } from "../src/core/accept-key.ts";
import { encodeBase64, isBase64Of16Bytes } from "../src/core/base64.ts";
import { buildRequest, checkResponse } from "../src/core/client-handshake.ts";
import { hasToken, parseExtensions, parseTokens } from "../src/core/header-values.ts";
import { HttpHeadReader } from "../src/core/http-head.ts";
import { acceptResponse, checkRequest, unsendableHeader } from "../src/core/server-handshake.ts";
import { sha1 } from "../src/core/sha1.ts";
import { ascii } from "./bytes.ts";

const good: Readonly<Record<string, string>> = {
  upgrade: "websocket",
  connection: "keep-alive, Upgrade",
  "sec-websocket-key": "dGhlIHNhbXBsZSBub25jZQ==",
  "sec-websocket-version": "13",
};

const check = (
  headers: Readonly<Record<string, string | undefined>>,
  method = "GET",
): ReturnType<typeof checkRequest> =>
  checkRequest(method, (name) => (Object.hasOwn(headers, name) ? headers[name] : undefined));

describe("the accept key", () => {
  test.each([
    ["dGhlIHNhbXBsZSBub25jZQ==", "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="], // RFC 6455 §1.3
    ["EchPITmgOD5XsQiAQb1xDw==", "VcEH0BKcMSH8rqBZw+KcTGS31hk="],
  ])("of %s", (key, accept) => {
    expect(acceptKey(key)).toBe(accept);
  });

  test("SHA-1 and base64 agree with Node's", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 300 }), (bytes) => {
        expect(Buffer.from(sha1(bytes)).toString("hex")).toBe(createHash("sha1").update(bytes).digest("hex"));
        expect(encodeBase64(bytes)).toBe(Buffer.from(bytes).toString("base64"));
      }),
    );
  });

  test("a key is base64 of 16 bytes", () => {
    expect(isBase64Of16Bytes("dGhlIHNhbXBsZSBub25jZQ==")).toBe(true);
    for (const wrong of [
      "",
      "dGhlIHNhbXBsZSBub25jZQ",
      "dGhlIHNhbXBsZSBub25jZ===",
      "dGhlIHNhbXBsZSBub25jZ!==",
      "=".repeat(24),
    ]) {
      expect(isBase64Of16Bytes(wrong)).toBe(false);
    }
  });
});

describe("a server checks the request, RFC 6455 §4.2.1", () => {
  test("and reads what it asks for", () => {
    expect(check({ ...good, "sec-websocket-protocol": "a, b", "sec-websocket-extensions": 'x; p="q"; r, y' })).toEqual({
      key: "dGhlIHNhbXBsZSBub25jZQ==",
      protocols: ["a", "b"],
      extensions: [
        {
          name: "x",
          parameters: [
            ["p", "q"],
            ["r", true],
          ],
        },
        { name: "y", parameters: [] },
      ],
    });
  });

  test("each header may be missing", () => {
    for (const name of Object.keys(good)) expect(check({ ...good, [name]: undefined })).toHaveProperty("status");
  });

  test.each<[string, Record<string, string>, number]>([
    ["another upgrade", { upgrade: "h2c" }, 426],
    ["a word that only contains websocket", { upgrade: "notwebsocket" }, 426],
    ["a connection header without upgrade", { connection: "keep-alive" }, 400],
    ["a short key", { "sec-websocket-key": "abc" }, 400],
    ["version 8", { "sec-websocket-version": "8" }, 426],
    ["a subprotocol twice", { "sec-websocket-protocol": "a, a" }, 400],
    ["a subprotocol that is no token", { "sec-websocket-protocol": "a b" }, 400],
    ["a malformed extension", { "sec-websocket-extensions": "x; =" }, 400],
  ])("and refuses %s", (_name, headers, status) => {
    expect(check({ ...good, ...headers })).toMatchObject({ status });
  });

  test("refusing a version names the one it speaks, §4.4", () => {
    expect(check({ ...good, "sec-websocket-version": "7" })).toMatchObject({
      headers: { "sec-websocket-version": "13" },
    });
  });

  test("only GET", () => {
    expect(check(good, "POST")).toMatchObject({ status: 405 });
  });

  test("names of JavaScript objects are names like any other", () => {
    const asked = check({ ...good, "sec-websocket-extensions": "constructor; __proto__=1; toString" });
    expect(asked).toMatchObject({
      extensions: [
        {
          name: "constructor",
          parameters: [
            ["__proto__", "1"],
            ["toString", true],
          ],
        },
      ],
    });
  });
});

describe("an answer's own headers", () => {
  test.each([
    ["a line break", { "x-a": "b\r\nSet-Cookie: c" }],
    ["a name that is no token", { "x a": "b" }],
    ["the engine's own", { "Sec-WebSocket-Accept": "x" }],
  ])("%s cannot be sent", (_name, headers) => {
    expect(unsendableHeader(headers as Record<string, string>)).toBeTypeOf("string");
  });

  test("a cookie can", () => {
    expect(unsendableHeader({ "Set-Cookie": "a=b; Path=/" })).toBeUndefined();
  });
});

describe("header values", () => {
  test("lists may have empty elements and white space, RFC 9110 §5.6.1", () => {
    expect(parseTokens(" a ,,\tb, ")).toEqual(["a", "b"]);
    expect(parseTokens("")).toEqual([]);
    expect(parseTokens("a b")).toBeUndefined();
    expect(hasToken("Keep-Alive,UPGRADE", "upgrade")).toBe(true);
    expect(hasToken("upgraded", "upgrade")).toBe(false);
    expect(hasToken(undefined, "upgrade")).toBe(false);
  });

  test("a quoted value must be a token once unquoted, RFC 6455 §9.1", () => {
    expect(parseExtensions(String.raw`a; b="c\d"`)).toEqual([{ name: "a", parameters: [["b", "cd"]] }]);
    for (const wrong of ['a; b=""', 'a; b="c d"', 'a; b="c', "a;", "a; b=", "a b", '"a"']) {
      expect(parseExtensions(wrong)).toBeUndefined();
    }
  });

  test("time is linear in what a peer sends", () => {
    const long = `${" ".repeat(200_000)}x${" ".repeat(200_000)}y`;
    const started = process.cpuUsage(); // processor time: other processes do not count
    parseTokens(long);
    parseExtensions(`${"a;b=c, ".repeat(50_000)}!!`);
    parseExtensions(`a; b="${"\\".repeat(100_000)}`);
    const { user, system } = process.cpuUsage(started);
    expect(user + system).toBeLessThan(1_000_000);
  });
});

describe("a client", () => {
  const asked = { key: "dGhlIHNhbXBsZSBub25jZQ==", protocols: ["chat", "log"] };
  const read = (text: string): ReturnType<typeof checkResponse> =>
    checkResponse(new HttpHeadReader(9999).feed(ascii(text))!.head, asked);

  test("and a server understand each other", () => {
    const request = buildRequest({
      ...asked,
      target: "/a?b",
      host: "h:1",
      extensions: "x",
      headers: { Cookie: "c=d" },
    });
    const { head, rest } = new HttpHeadReader(9999).feed(ascii(`${request}tail`))!;
    expect(head.startLine).toBe("GET /a?b HTTP/1.1");
    expect(request.length).toBe(rest);
    const server = checkRequest("GET", (name) => head.headers.get(name));
    expect(server).toMatchObject({ key: asked.key, protocols: ["chat", "log"], extensions: [{ name: "x" }] });
    expect(read(acceptResponse(asked.key, { protocol: "log", extensions: "x; y=1" }))).toEqual({
      protocol: "log",
      extensions: [{ name: "x", parameters: [["y", "1"]] }],
    });
  });

  test.each([
    ["another status", (text: string) => text.replace("101", "200")],
    ["no upgrade", (text: string) => text.replace("Upgrade: websocket", "X: y")],
    ["no connection", (text: string) => text.replace("Connection: Upgrade", "X: y")],
    ["another accept key", (text: string) => text.replace("s3pP", "S3pP")],
    ["a subprotocol that it did not offer", (text: string) => text.replace("chat", "cat")],
    ["two subprotocols", (text: string) => text.replace("chat", "chat, log")],
    ["a folded header", (text: string) => text.replace("Upgrade: websocket", "Upgrade:\r\n websocket")],
  ])("refuses %s, RFC 6455 §4.1", (_name, change) => {
    const response = acceptResponse(asked.key, { protocol: "chat", extensions: "" });
    expect(read(response).protocol).toBe("chat");
    expect(() => read(change(response))).toThrow(expect.objectContaining({ code: "HANDSHAKE_INVALID" }));
  });

  test("refuses a head beyond its limit, however it arrives", () => {
    const reader = new HttpHeadReader(100);
    reader.feed(ascii("x".repeat(100)));
    expect(() => reader.feed(ascii("x"))).toThrow(expect.objectContaining({ code: "HANDSHAKE_TOO_LARGE" }));
  });

  test("reads a head in pieces", () => {
    const text = acceptResponse(asked.key, { protocol: "", extensions: "" });
    for (let cut = 1; cut < text.length; cut++) {
      const reader = new HttpHeadReader(9999);
      expect(reader.feed(ascii(text.slice(0, cut)))).toBeUndefined();
      expect(reader.feed(ascii(`${text.slice(cut)}ab`))).toMatchObject({ rest: text.length - cut });
    }
  });
});
