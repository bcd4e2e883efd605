import { readdirSync, readFileSync } from "node:fs";
import { expect, test } from "vitest";
import * as core from "../src/core/index.ts";
import * as main from "../src/index.ts";

// A name here is a promise to those who import it: adding one is a decision, removing one a breaking change.

test("the names of @zuruf/websocket", () => {
  expect(Object.keys(main).sort()).toEqual([
    "CloseEvent",
    "ErrorEvent",
    "MessageEvent",
    "WebSocket",
    "WebSocketError",
    "createWebSocketServer",
    "errorTable",
  ]);
});

test("the names of @zuruf/websocket/core", () => {
  expect(Object.keys(core).sort()).toEqual([
    "Connection",
    "FrameBit",
    "HttpHeadReader",
    "MAX_CONTROL_PAYLOAD",
    "MAX_FRAME_HEADER",
    "Opcode",
    "PERMESSAGE_DEFLATE",
    "ReportedCloseCode",
    "WEBSOCKET_VERSION",
    "WebSocketError",
    "acceptKey",
    "acceptOffer",
    "acceptResponse",
    "applyMask",
    "buildRequest",
    "checkAnswer",
    "checkRequest",
    "checkResponse",
    "decodeUtf8",
    "encodeFrame",
    "encodeUtf8",
    "errorTable",
    "formatExtensions",
    "frameHeaderLength",
    "hasToken",
    "isSendableCloseCode",
    "isToken",
    "isUtf8",
    "makeOffer",
    "parseExtensions",
    "parseTokens",
    "portableLoops",
    "reads",
    "responseStatus",
    "rotateKey",
    "transitions",
    "unsendableHeader",
    "writeFrameHeader",
  ]);
});

test("the core needs nothing of its platform: no Node, no DOM, no clock, no randomness", () => {
  const folder = new URL("../src/core/", import.meta.url);
  const foreign =
    /"node:|\.\.\/node\/|\bBuffer\.|\bprocess\.|\bglobalThis\b|\bTextDecoder\b|\bTextEncoder\b|\bsetTimeout\b|\bperformance\.|\bDate\b|\bMath\.random\b|\bcrypto\./;
  for (const name of readdirSync(folder)) {
    const code = readFileSync(new URL(name, folder), "utf8").replaceAll(/\/\*[^]*?\*\/|\/\/.*/g, "");
    expect(foreign.exec(code)?.[0], name).toBeUndefined();
  }
});
