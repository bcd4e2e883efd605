import { readFileSync } from "node:fs";

import {
  acceptKey,
  acceptOffer,
  checkAnswer,
  checkRequest,
  checkResponse,
  Connection,
  HttpHeadReader,
  parseExtensions,
} from "@zuruf/websocket/core";
import { describe, expect, test } from "vitest";

import { files, textOfFile } from "../author/write.ts";
import { cut, difference, generous, outcomeOf } from "../core-runner.ts";
import { bytesOf, load, textOf, type Vector } from "../vector.ts";

/** Every single cut of a short stream; some of a long one, at its header and around powers of two. */
function cuts(length: number): number[][] {
  const single =
    length <= 400 ? Array.from({ length: length - 1 }, (_, i) => i + 1) : [1, 2, 3, 4, 5, 9, 13, 14, 15, 4096, 4097];
  const bytewise = length <= 4000 ? [Array.from({ length: length - 1 }, (_, i) => i + 1)] : [];
  return [[], ...single.filter((place) => place < length).map((place) => [place]), ...bytewise];
}

describe.each(["frames", "deflate"] as const)("%s", (name) => {
  test.each(load(name).map((vector) => [`${vector.id} (${vector.section}): ${vector.says}`, vector] as const))(
    "%s",
    (_title, vector: Vector) => {
      const bytes = bytesOf(vector.bytes);
      const setting = { role: vector.role, deflate: vector.deflate !== undefined };
      for (const places of cuts(bytes.length)) {
        const what = difference(vector, outcomeOf(cut(bytes, places), setting));
        expect(what, `cut at ${places.slice(0, 20).join(", ")}`).toBeUndefined();
      }
    },
  );
});

test.each(load("sending").map((vector) => [`${vector.id}: ${vector.says}`, vector] as const))(
  "sending %s",
  (_title, vector) => {
    const { role, mask, sends } = vector;
    const key = Buffer.from(mask ?? "00000000", "hex").readInt32LE(0);
    const connection = new Connection({ role, ...generous, ...(role === "client" ? { mask: () => key } : {}) });
    if ("text" in sends) connection.send(textOf(sends.text));
    else if ("binary" in sends) connection.send(bytesOf(sends.binary));
    else if ("ping" in sends) connection.ping(Buffer.from(sends.ping, "hex"));
    else if ("pong" in sends) connection.pong(Buffer.from(sends.pong, "hex"));
    else connection.close(sends.close.code, sends.close.reason);
    expect(Buffer.concat(connection.takeOutput()).toString("hex")).toBe(bytesOf(vector.bytes).toString("hex"));
  },
);

const handshakes = load("handshake");

test.each(
  handshakes.filter(({ role }) => role === "server").map((vector) => [`${vector.id}: ${vector.says}`, vector] as const),
)("server handshake %s", (_title, { head, outcome, accept }) => {
  const read = new HttpHeadReader(16_384).feed(Buffer.from(head, "latin1"));
  expect(read).toBeDefined();
  const { startLine = "", headers = new Map<string, string>() } = read?.head ?? {};
  const answer = checkRequest(startLine.split(" ")[0] ?? "", (name) => headers.get(name));
  if (typeof outcome === "object") {
    expect(outcome.refuses).toContain("status" in answer ? answer.status : 101);
  } else {
    expect(acceptKey("key" in answer ? answer.key : "")).toBe(accept);
  }
});

test.each(
  handshakes.filter(({ role }) => role === "client").map((vector) => [`${vector.id}: ${vector.says}`, vector] as const),
)("client handshake %s", (_title, { head, sent, outcome }) => {
  if (!sent) throw new Error("a client's vector says what was sent");
  const shake = (): void => {
    const read = new HttpHeadReader(16_384).feed(Buffer.from(head, "latin1"));
    if (!read) throw new Error("the vector's head is not whole");
    const { extensions } = checkResponse(read.head, sent);
    if (extensions.length > 0 && !sent.deflate) throw new Error("an extension that was not offered");
  };
  if (outcome === "open") expect(shake).not.toThrow();
  else expect(shake).toThrow(/./u);
});

test.each(load("offers").map((vector) => [`${vector.id}: ${vector.says}`, vector] as const))(
  "offer %s",
  (_title, { offer, outcome }) => {
    const wishes = {
      serverNoContextTakeover: false,
      clientNoContextTakeover: false,
      serverMaxWindowBits: 15,
      clientMaxWindowBits: 15,
    };
    const extensions = parseExtensions(offer);
    const accepted = extensions && acceptOffer(extensions, wishes);
    if (outcome === "declines") {
      expect(accepted).toBeUndefined();
      return;
    }
    if (outcome.mayDecline && accepted === undefined) return;
    const parameters = new Map(accepted?.response.parameters);
    expect(accepted?.response.name).toBe("permessage-deflate");
    expect(parameters.has("server_no_context_takeover")).toBe(outcome.serverNoContextTakeover);
    expect(accepted?.agreement.serverNoContextTakeover).toBe(outcome.serverNoContextTakeover);
    expect(Number(parameters.get("server_max_window_bits") ?? 15)).toBe(outcome.serverMaxWindowBits);
    const bits = parameters.get("client_max_window_bits");
    if (outcome.clientMaxWindowBits === "absent") expect(bits).toBeUndefined();
    else if (bits !== undefined) expect(Number(bits)).toBeLessThanOrEqual(outcome.clientMaxWindowBits);
    expect(accepted?.agreement.clientMaxWindowBits).toBe(
      bits === undefined && outcome.clientMaxWindowBits === "absent" ? 15 : outcome.clientMaxWindowBits,
    );
  },
);

test.each(load("answers").map((vector) => [`${vector.id}: ${vector.says}`, vector] as const))(
  "answer %s",
  (_title, { offered, answer, outcome }) => {
    const [extension] = parseExtensions(answer) ?? [];
    const agreed = extension && checkAnswer(extension, offered);
    expect(agreed === undefined ? "fails" : "open").toBe(outcome);
  },
);

test.each(["frames", "sending", "handshake", "offers", "answers"] as const)(
  "vectors/%s.json is what author/ writes",
  (name) => {
    const file = readFileSync(new URL(`../vectors/${name}.json`, import.meta.url), "utf8");
    expect(file).toBe(textOfFile(files[name]));
  },
);

test("every vector has an id of its own", () => {
  for (const name of ["frames", "deflate", "sending"] as const) {
    const ids = load(name).map(({ id }) => id);
    expect(new Set(ids).size).toBe(ids.length);
  }
});
