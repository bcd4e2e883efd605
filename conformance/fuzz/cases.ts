import {
  acceptOffer,
  applyMask,
  formatExtensions,
  HttpHeadReader,
  parseExtensions,
  parseTokens,
  WebSocketError,
} from "@zuruf/websocket/core";

import { cut, type Outcome, outcomeOf, type Setting } from "../core-runner.ts";
import { bytesOf, load } from "../vector.ts";
import type { Random } from "./random.ts";
import { chunking, stream } from "./streams.ts";
import { wsOutcome } from "./ws.ts";

/** What a case found: undefined when all is well. */
export type Finding = string | undefined;

const seeds = { server: [] as Buffer[], client: [] as Buffer[] };
for (const vector of [...load("frames"), ...load("deflate")]) {
  const bytes = bytesOf(vector.bytes);
  if (bytes.length < 2000) seeds[vector.role].push(bytes);
}

const limits = [
  { maxMessage: 2 ** 20, maxFrame: 2 ** 20, maxFragments: 1024 },
  { maxMessage: 100, maxFrame: 100, maxFragments: 1024 },
  { maxMessage: 500, maxFrame: 126, maxFragments: 3 },
];

const describe = (outcome: Outcome): string => JSON.stringify(outcome).slice(0, 1500);

/** A stream means the same however it is cut, allocates in proportion to what arrived, and means what it means to `ws`. */
export function connection(random: Random): Finding {
  const role = random.chance(0.5) ? "server" : "client";
  const bounds = random.pick(limits);
  const setting: Setting = { role, deflate: random.chance(0.3), limits: bounds };
  const bytes = stream(random, role, seeds[role]);
  const where = (): string => `${JSON.stringify(setting)} ${bytes.toString("hex")}`;
  const whole = outcomeOf(cut(bytes, []), setting);
  for (let i = 0; i < 3; i++) {
    const places = chunking(random, bytes.length);
    const other = outcomeOf(cut(bytes, places), setting);
    if (describe(other) !== describe(whole)) {
      return `cut at ${places.join(",")} it gives ${describe(other)}, whole it gives ${describe(whole)}\n${where()}`;
    }
    if (other.largest > Math.max(4096, 4 * bytes.length))
      return `allocated ${other.largest} bytes for ${bytes.length}\n${where()}`;
  }
  if (!setting.deflate && bounds === limits[0]) {
    const theirs = wsOutcome(bytes, role, bounds.maxMessage);
    // `ws` refuses a header by its first two bytes, we when it is whole: let it be whole.
    const early = whole.failed === undefined && theirs.failed !== undefined;
    const ours = early ? outcomeOf(cut(Buffer.concat([bytes, Buffer.alloc(14)]), []), setting) : whole;
    const difference = differs(ours, theirs);
    if (difference)
      return `${difference}\nours: ${describe(whole)}\nws: ${JSON.stringify(theirs).slice(0, 1500)}\n${where()}`;
  }
  return undefined;
}

/** `ws` accepts lengths in a longer form than needed (RFC 6455 §5.2 forbids it); all else must agree. */
function differs(ours: Outcome, theirs: ReturnType<typeof wsOutcome>): Finding {
  if (ours.code === "LENGTH_NOT_MINIMAL") return undefined;
  if ((ours.failed === undefined) !== (theirs.failed === undefined)) return "one fails and the other does not";
  if (ours.failed !== theirs.failed && ours.code !== "LENGTH_TOO_LARGE") return "they fail with different status codes";
  const [a, b] = [JSON.stringify(ours.events), JSON.stringify(theirs.events)];
  return a === b ? undefined : "they report different events";
}

const fragments = [
  "permessage-deflate",
  "; ",
  ";",
  ",",
  ", ",
  "=",
  '"',
  "\\",
  "8",
  "15",
  "16",
  "server_max_window_bits",
  "client_max_window_bits",
  "server_no_context_takeover",
  "__proto__",
  "constructor",
  "x",
  " ",
  "\t",
  "\0",
  "é",
  "\x7f",
];

function headerText(random: Random): string {
  return Array.from({ length: random.below(30) }, () => random.pick(fragments)).join("");
}

/** What a header may hold is parsed or not, never thrown; what was parsed and written is parsed the same again. */
export function headers(random: Random): Finding {
  const text = headerText(random);
  parseTokens(text);
  const parsed = parseExtensions(text);
  if (!parsed) return undefined;
  const wishes = {
    serverNoContextTakeover: random.chance(0.5),
    clientNoContextTakeover: random.chance(0.5),
    serverMaxWindowBits: 8 + random.below(8),
    clientMaxWindowBits: 8 + random.below(8),
  };
  const accepted = acceptOffer(parsed, wishes);
  if (accepted) {
    const { serverMaxWindowBits, clientMaxWindowBits } = accepted.agreement;
    for (const bits of [serverMaxWindowBits, clientMaxWindowBits]) {
      if (!(bits >= 8 && bits <= 15)) return `agreed on a window of ${bits} for ${JSON.stringify(text)}`;
    }
    const again = parseExtensions(formatExtensions([accepted.response]));
    if (JSON.stringify(again) !== JSON.stringify([accepted.response]))
      return `its own answer is not read back: ${JSON.stringify(text)}`;
  }
  return undefined;
}

/** The head of an HTTP message is the same however it is cut, or refused with an error of ours. */
export function head(random: Random): Finding {
  const lines = [
    "GET / HTTP/1.1",
    "HTTP/1.1 101 x",
    "a: b",
    "A:b",
    "a : b",
    ": b",
    "a:",
    " folded",
    "x\0: y",
    "é: ü",
    "constructor: 1",
    headerText(random),
  ];
  const text = `${Array.from({ length: random.below(6) }, () => random.pick(lines)).join(random.chance(0.9) ? "\r\n" : "\n")}\r\n\r\nrest`;
  const bytes = Buffer.from(text, "latin1");
  const read = (places: readonly number[]): string => {
    const reader = new HttpHeadReader(200);
    let taken = 0;
    try {
      for (const piece of cut(bytes, places)) {
        const done = reader.feed(piece);
        if (done) return JSON.stringify([done.head.startLine, [...done.head.headers], taken + done.rest]);
        taken += piece.length;
      }
    } catch (error) {
      if (error instanceof WebSocketError) return error.code;
      throw error;
    }
    return "unfinished";
  };
  const whole = read([]);
  const places = chunking(random, bytes.length);
  const other = read(places);
  return whole === other
    ? undefined
    : `cut at ${places.join(",")}: ${other} instead of ${whole} for ${JSON.stringify(text)}`;
}

/** Masking any part of any buffer at any alignment is what RFC 6455 §5.3 says it is, and touches nothing else. */
export function mask(random: Random): Finding {
  const memory = new Uint8Array(random.bytes(random.below(300) + 8));
  const bytes = memory.subarray(random.below(8));
  const start = random.below(bytes.length);
  const end = start + random.below(bytes.length - start + 1);
  const key = random.next() | 0;
  const before = Uint8Array.from(bytes);
  const or = applyMask(bytes, start, end, key);
  let expected = 0;
  for (const [i, byte] of before.entries()) {
    const inside = i >= start && i < end;
    const right = inside ? byte ^ ((key >>> (((i - start) & 3) * 8)) & 0xff) : byte;
    if (inside) expected |= right;
    if (bytes[i] !== right) return `byte ${i} of [${start}, ${end}) is ${bytes[i]} instead of ${right} with key ${key}`;
  }
  return or === expected ? undefined : `the or is ${or} instead of ${expected}`;
}
