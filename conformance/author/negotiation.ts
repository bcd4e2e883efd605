import type { AnswerVector, OfferVector } from "../vector.ts";

const plain = { serverNoContextTakeover: false, serverMaxWindowBits: 15, clientMaxWindowBits: "absent" } as const;

const accepted = (
  id: string,
  section: string,
  says: string,
  offer: string,
  outcome: Partial<Exclude<OfferVector["outcome"], string>> = {},
): OfferVector => ({
  id,
  section: `RFC 7692 §${section}`,
  says,
  offer: `permessage-deflate${offer}`,
  outcome: { ...plain, ...outcome },
});
const declined = (id: string, section: string, says: string, offer: string): OfferVector => ({
  id,
  section: `RFC 7692 §${section}`,
  says,
  offer: `permessage-deflate${offer}`,
  outcome: "declines",
});

export const offers: readonly OfferVector[] = [
  accepted("bare", "7.1", "no parameters", ""),
  accepted(
    "server-nct",
    "7.1.1.1",
    "the server must forget its window, and must say that it does",
    "; server_no_context_takeover",
    { serverNoContextTakeover: true },
  ),
  accepted(
    "client-nct",
    "7.1.1.2",
    "the client says that it will forget its own: a hint",
    "; client_no_context_takeover",
  ),
  accepted("both-nct", "7.1.1", "both", "; client_no_context_takeover; server_no_context_takeover", {
    serverNoContextTakeover: true,
  }),
  ...[9, 10, 14, 15].map((bits) =>
    accepted(
      `server-bits-${bits}`,
      "7.1.2.1",
      `the server's window is at most 2^${bits}`,
      `; server_max_window_bits=${bits}`,
      { serverMaxWindowBits: bits },
    ),
  ),
  accepted("server-bits-8", "7.1.2.1", "2^8, which not every deflate can do", "; server_max_window_bits=8", {
    serverMaxWindowBits: 8,
    mayDecline: true,
  }),
  accepted("client-bits", "7.1.2.2", "the client can limit its window", "; client_max_window_bits", {
    clientMaxWindowBits: 15,
  }),
  ...[8, 9, 12, 15].map((bits) =>
    accepted(`client-bits-${bits}`, "7.1.2.2", `to 2^${bits} or less`, `; client_max_window_bits=${bits}`, {
      clientMaxWindowBits: bits,
    }),
  ),
  accepted("quoted", "7.1, RFC 6455 §9.1", "a value may be a quoted string", '; server_max_window_bits="10"', {
    serverMaxWindowBits: 10,
  }),
  accepted(
    "all",
    "7.1",
    "all at once",
    "; server_no_context_takeover; client_no_context_takeover; server_max_window_bits=12; client_max_window_bits=11",
    { serverNoContextTakeover: true, serverMaxWindowBits: 12, clientMaxWindowBits: 11 },
  ),
  accepted(
    "second",
    "5.1, 7.1",
    "the first offer is unacceptable, the second is not",
    "; unknown_parameter, permessage-deflate",
    {},
  ),
  accepted(
    "preference",
    "5.1",
    "offers are in the order of the client's preference",
    "; server_max_window_bits=10; client_max_window_bits, permessage-deflate",
    { serverMaxWindowBits: 10, clientMaxWindowBits: 15 },
  ),
  {
    id: "among-others",
    section: "RFC 6455 §9.1",
    says: "among unknown extensions",
    offer: "x-webkit-deflate-frame, permessage-deflate, constructor",
    outcome: plain,
  },
  {
    id: "none",
    section: "RFC 6455 §9.1",
    says: "only unknown extensions",
    offer: "x-webkit-deflate-frame, constructor",
    outcome: "declines",
  },
  declined("unknown", "7.1", "an unknown parameter", "; x_unknown"),
  declined("prototype", "7.1", "named like something every object has", "; constructor; toString; __proto__"),
  declined("repeated", "7.1", "the same parameter twice", "; server_no_context_takeover; server_no_context_takeover"),
  declined("repeated-bits", "7.1", "with different values", "; server_max_window_bits=10; server_max_window_bits=11"),
  declined("server-nct-value", "7.1.1.1", "a value where none belongs", "; server_no_context_takeover=1"),
  declined("client-nct-value", "7.1.1.2", "a value where none belongs", "; client_no_context_takeover=true"),
  declined("server-bits-none", "7.1.2.1", "no value where one belongs", "; server_max_window_bits"),
  ...["7", "16", "0", "-9", "08", "010", "1e1", "9.0", "256", "x"].map((bits) =>
    declined(`server-bits-bad-${bits}`, "7.1.2.1", `a window of "${bits}"`, `; server_max_window_bits="${bits}"`),
  ),
  ...["7", "16", "09", "150"].map((bits) =>
    declined(`client-bits-bad-${bits}`, "7.1.2.2", `a window of "${bits}"`, `; client_max_window_bits=${bits}`),
  ),
];

const nothing = {
  serverNoContextTakeover: false,
  clientNoContextTakeover: false,
  serverMaxWindowBits: 15,
  clientMaxWindowBits: 15,
};
const answered = (
  id: string,
  section: string,
  says: string,
  offered: Partial<AnswerVector["offered"]>,
  answer: string,
  outcome: AnswerVector["outcome"],
): AnswerVector => ({
  id,
  section: `RFC 7692 §${section}`,
  says,
  offered: { ...nothing, ...offered },
  answer,
  outcome,
});

/** Every client here offers client_max_window_bits, so that a server may limit it. */
export const answers: readonly AnswerVector[] = [
  answered("bare", "7.1", "no parameters", {}, "permessage-deflate", "open"),
  answered(
    "server-nct-by-itself",
    "7.1.1.1",
    "a server may forget its window by itself",
    {},
    "permessage-deflate; server_no_context_takeover",
    "open",
  ),
  answered(
    "client-nct-by-itself",
    "7.1.1.2",
    "and may ask the client to",
    {},
    "permessage-deflate; client_no_context_takeover",
    "open",
  ),
  answered(
    "server-nct-missing",
    "7.1.1.1",
    "it must not leave out what was offered",
    { serverNoContextTakeover: true },
    "permessage-deflate",
    "fails",
  ),
  answered(
    "client-nct-missing",
    "7.1.1.2",
    "the client's own may be left out",
    { clientNoContextTakeover: true },
    "permessage-deflate",
    "open",
  ),
  answered(
    "server-bits-lower",
    "7.1.2.1",
    "a smaller window than offered",
    { serverMaxWindowBits: 12 },
    "permessage-deflate; server_max_window_bits=10",
    "open",
  ),
  answered(
    "server-bits-higher",
    "7.1.2.1",
    "a larger one",
    { serverMaxWindowBits: 10 },
    "permessage-deflate; server_max_window_bits=12",
    "fails",
  ),
  answered(
    "server-bits-missing",
    "7.1.2.1",
    "none though one was offered",
    { serverMaxWindowBits: 10 },
    "permessage-deflate",
    "fails",
  ),
  answered(
    "server-bits-by-itself",
    "7.1.2.1",
    "a limit by itself",
    {},
    "permessage-deflate; server_max_window_bits=9",
    "open",
  ),
  answered(
    "client-bits",
    "7.1.2.2",
    "a limit for the client",
    {},
    "permessage-deflate; client_max_window_bits=10",
    "open",
  ),
  answered(
    "client-bits-higher",
    "7.1.2.2",
    "above what it offered",
    { clientMaxWindowBits: 9 },
    "permessage-deflate; client_max_window_bits=10",
    "fails",
  ),
  answered("client-bits-none", "7.1.2.2", "without a value", {}, "permessage-deflate; client_max_window_bits", "fails"),
  answered("client-bits-16", "7.1.2.2", "out of range", {}, "permessage-deflate; client_max_window_bits=16", "fails"),
  answered("server-bits-7", "7.1.2.1", "out of range", {}, "permessage-deflate; server_max_window_bits=7", "fails"),
  answered("server-bits-none", "7.1.2.1", "without a value", {}, "permessage-deflate; server_max_window_bits", "fails"),
  answered("unknown", "7.1", "an unknown parameter", {}, "permessage-deflate; x_unknown", "fails"),
  answered(
    "repeated",
    "7.1",
    "a parameter twice",
    {},
    "permessage-deflate; client_no_context_takeover; client_no_context_takeover",
    "fails",
  ),
  answered(
    "value",
    "7.1.1",
    "a value where none belongs",
    {},
    "permessage-deflate; server_no_context_takeover=1",
    "fails",
  ),
];
