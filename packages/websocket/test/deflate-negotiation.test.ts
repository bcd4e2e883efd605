import { describe, expect, test } from "vitest";
import { acceptOffer, checkAnswer, makeOffer } from "../src/core/deflate.ts";
import type { DeflateAgreement, DeflateWishes } from "../src/core/deflate.ts";
import { formatExtensions, parseExtensions } from "../src/core/header-values.ts";

const open: DeflateWishes = {
  serverNoContextTakeover: false,
  clientNoContextTakeover: false,
  serverMaxWindowBits: 15,
  clientMaxWindowBits: 15,
};

const accept = (offer: string, wishes: Partial<DeflateWishes> = {}): string | undefined => {
  const accepted = acceptOffer(parseExtensions(offer)!, { ...open, ...wishes });
  return accepted && formatExtensions([accepted.response]);
};

const answered = (answer: string, wishes: Partial<DeflateWishes> = {}): DeflateAgreement | undefined =>
  checkAnswer(parseExtensions(answer)![0]!, { ...open, ...wishes });

describe("a server answers an offer, RFC 7692 §7.1", () => {
  test.each<[string, Partial<DeflateWishes>, string | undefined]>([
    ["permessage-deflate", {}, "permessage-deflate"],
    ["x-webkit-deflate-frame", {}, undefined],
    ["permessage-deflate; client_max_window_bits", {}, "permessage-deflate"],
    [
      "permessage-deflate; client_max_window_bits",
      { clientMaxWindowBits: 10 },
      "permessage-deflate; client_max_window_bits=10",
    ],
    [
      "permessage-deflate; client_max_window_bits=9",
      { clientMaxWindowBits: 10 },
      "permessage-deflate; client_max_window_bits=9",
    ],
    ["permessage-deflate", { clientMaxWindowBits: 10 }, undefined],
    ["permessage-deflate; server_max_window_bits=10", {}, "permessage-deflate; server_max_window_bits=10"],
    [
      "permessage-deflate; server_max_window_bits=10",
      { serverMaxWindowBits: 9 },
      "permessage-deflate; server_max_window_bits=9",
    ],
    ["permessage-deflate; server_max_window_bits=15", {}, "permessage-deflate; server_max_window_bits=15"],
    ["permessage-deflate; server_max_window_bits=8", {}, "permessage-deflate; server_max_window_bits=8"],
    ["permessage-deflate", { serverMaxWindowBits: 12 }, "permessage-deflate; server_max_window_bits=12"],
    ["permessage-deflate; server_no_context_takeover", {}, "permessage-deflate; server_no_context_takeover"],
    ["permessage-deflate; client_no_context_takeover", {}, "permessage-deflate; client_no_context_takeover"],
    [
      "permessage-deflate",
      { serverNoContextTakeover: true, clientNoContextTakeover: true },
      "permessage-deflate; server_no_context_takeover; client_no_context_takeover",
    ],
    ["permessage-deflate; server_max_window_bits", {}, undefined],
    ["permessage-deflate; server_max_window_bits=7", {}, undefined],
    ["permessage-deflate; server_max_window_bits=16", {}, undefined],
    ["permessage-deflate; server_max_window_bits=010", {}, undefined],
    ["permessage-deflate; server_no_context_takeover=1", {}, undefined],
    ["permessage-deflate; server_no_context_takeover; server_no_context_takeover", {}, undefined],
    ["permessage-deflate; unknown", {}, undefined],
    ["permessage-deflate; constructor", {}, undefined],
    ["permessage-deflate; unknown, permessage-deflate", {}, "permessage-deflate"],
    [
      "permessage-deflate; server_max_window_bits=99, permessage-deflate; client_max_window_bits=8",
      {},
      "permessage-deflate; client_max_window_bits=8",
    ],
  ])("%s with %o", (offer, wishes, answer) => {
    expect(accept(offer, wishes)).toBe(answer);
  });
});

describe("a client checks the answer, RFC 7692 §7.1", () => {
  test.each<[string, Partial<DeflateWishes>, Partial<DeflateAgreement> | undefined]>([
    ["permessage-deflate", {}, { serverMaxWindowBits: 15, clientMaxWindowBits: 15 }],
    ["permessage-deflate; client_max_window_bits=9", {}, { clientMaxWindowBits: 9 }],
    ["permessage-deflate; client_max_window_bits", {}, undefined],
    ["permessage-deflate; client_max_window_bits=12", { clientMaxWindowBits: 11 }, undefined],
    ["permessage-deflate", { clientMaxWindowBits: 11 }, { clientMaxWindowBits: 11 }],
    ["permessage-deflate", { serverMaxWindowBits: 11 }, undefined],
    ["permessage-deflate; server_max_window_bits=10", { serverMaxWindowBits: 11 }, { serverMaxWindowBits: 10 }],
    ["permessage-deflate", { serverNoContextTakeover: true }, undefined],
    ["permessage-deflate; server_no_context_takeover", {}, { serverNoContextTakeover: true }],
    ["permessage-deflate; client_no_context_takeover", {}, { clientNoContextTakeover: true }],
    ["permessage-deflate; unknown", {}, undefined],
    ["another", {}, undefined],
  ])("%s after %o", (answer, wishes, agreement) => {
    if (agreement === undefined) expect(answered(answer, wishes)).toBeUndefined();
    else expect(answered(answer, wishes)).toMatchObject(agreement);
  });

  test("both sides come to the same agreement", () => {
    for (const server of [
      open,
      { ...open, serverNoContextTakeover: true, serverMaxWindowBits: 10, clientMaxWindowBits: 9 },
    ]) {
      for (const client of [
        open,
        { ...open, clientNoContextTakeover: true, serverMaxWindowBits: 11, clientMaxWindowBits: 12 },
      ]) {
        const accepted = acceptOffer([makeOffer(client)], server)!;
        expect(checkAnswer(accepted.response, client)).toMatchObject({
          serverNoContextTakeover: accepted.agreement.serverNoContextTakeover,
          serverMaxWindowBits: accepted.agreement.serverMaxWindowBits,
          clientNoContextTakeover: accepted.agreement.clientNoContextTakeover,
        });
      }
    }
  });
});
