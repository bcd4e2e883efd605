/** What messages carry: RFC 6455 §5.6, §6 and, for text, §8.1. */
import type { Case } from "./cases.ts";
import { answersPong, binary, bytes, fails, more, notFinal, octets, ping, pinged, said, text } from "./cases.ts";

const a = 0x61;

const data: readonly Case[] = [
  {
    id: "5.6-text",
    section: "RFC 6455 §5.6",
    says: "text is UTF-8",
    frames: [text("Übertragung: 通信 😀")],
    events: [said("Übertragung: 通信 😀")],
  },
  {
    id: "5.6-binary-any",
    section: "RFC 6455 §5.6",
    says: "binary may be anything, also what is no UTF-8",
    frames: [binary(octets("c0 80 ff fe ed a0 80"))],
    events: [bytes(octets("c080fffeeda080"))],
  },
  {
    id: "5.6-nul",
    section: "RFC 6455 §5.6",
    says: "U+0000 is a character",
    frames: [text("a\0b")],
    events: [said("a\0b")],
  },
  {
    id: "6.1-order",
    section: "RFC 6455 §6.1, §6.2",
    says: "messages arrive in the order in which they were sent",
    frames: Array.from({ length: 20 }, (_, i) => text(`${i}`)),
    events: Array.from({ length: 20 }, (_, i) => said(`${i}`)),
  },
  {
    id: "6.2-types",
    section: "RFC 6455 §6.2",
    says: "text and binary alternate",
    frames: [text("a"), binary(octets("62")), text("c")],
    events: [said("a"), bytes(octets("62")), said("c")],
  },
];

/** Well-formed and ill-formed sequences, RFC 3629 §4 and its security section. */
const wellFormed: readonly (readonly [string, string])[] = [
  ["00", "U+0000"],
  ["7f", "U+007F, the last of one byte"],
  ["c2 80", "U+0080, the first of two bytes"],
  ["df bf", "U+07FF, the last of two bytes"],
  ["e0 a0 80", "U+0800, the first of three bytes"],
  ["ed 9f bf", "U+D7FF, before the surrogates"],
  ["ee 80 80", "U+E000, after the surrogates"],
  ["ef bf bd", "U+FFFD, which is not an error"],
  ["ef bf bf", "U+FFFF, a non-character, but well-formed"],
  ["ef bb bf 61", "a byte order mark is a character, and kept"],
  ["f0 90 80 80", "U+10000, the first of four bytes"],
  ["f4 8f bf bf", "U+10FFFF, the last there is"],
];
const illFormed: readonly (readonly [string, string])[] = [
  ["80", "a continuation byte alone"],
  ["bf", "the last of them alone"],
  ["c0 80", "U+0000 in two bytes: overlong"],
  ["c1 bf", "U+007F in two bytes: overlong"],
  ["e0 80 80", "U+0000 in three bytes"],
  ["e0 9f bf", "U+07FF in three bytes: overlong"],
  ["f0 80 80 80", "U+0000 in four bytes"],
  ["f0 8f bf bf", "U+FFFF in four bytes: overlong"],
  ["ed a0 80", "U+D800, a high surrogate"],
  ["ed bf bf", "U+DFFF, a low surrogate"],
  ["ed a0 80 ed b0 80", "a pair of surrogates (CESU-8)"],
  ["f4 90 80 80", "U+110000, beyond Unicode"],
  ["f5 80 80 80", "0xf5 never appears"],
  ["f8 88 80 80 80", "five bytes"],
  ["fc 84 80 80 80 80", "six bytes"],
  ["fe", "0xfe never appears"],
  ["ff", "0xff never appears"],
  ["c2", "the first of two bytes alone"],
  ["e2 82", "the first two of three bytes"],
  ["f0 9f 98", "the first three of four bytes"],
  ["c2 41", "a letter where a continuation belongs"],
  ["e2 82 41", "a letter where the second continuation belongs"],
  ["61 62 63 80 64", "in the middle of ASCII"],
];
const encoding: readonly Case[] = [
  ...wellFormed.map(([sequence, says]): Case => ({
    id: `8.1-good-${sequence.replaceAll(" ", "")}`,
    section: "RFC 6455 §8.1",
    says,
    frames: [text(octets(sequence))],
    events: [said(octets(sequence).toString("utf8"))],
  })),
  ...illFormed.map(([sequence, says]): Case => ({
    id: `8.1-bad-${sequence.replaceAll(" ", "")}`,
    section: "RFC 6455 §8.1",
    says,
    frames: [text("before"), text(octets(sequence))],
    events: [said("before")],
    outcome: fails(1007),
  })),
  {
    id: "8.1-split",
    section: "RFC 6455 §5.6, §8.1",
    says: "a character may be split over fragments",
    frames: [text(octets("f0"), notFinal), more(octets("9f"), notFinal), more(octets("98 80"))],
    events: [said("😀")],
  },
  {
    id: "8.1-split-empty",
    section: "RFC 6455 §5.6, §8.1",
    says: "with an empty fragment inside",
    frames: [text(octets("e2 82"), notFinal), more("", notFinal), more(octets("ac"))],
    events: [said("€")],
  },
  {
    id: "8.1-split-control",
    section: "RFC 6455 §5.6, §8.1",
    says: "with a ping inside",
    frames: [text(octets("c3"), notFinal), ping("x"), more(octets("bc"))],
    events: [pinged("x"), said("ü")],
    answers: [answersPong("x")],
  },
  {
    id: "8.1-split-bad",
    section: "RFC 6455 §8.1",
    says: "a message that ends inside a character",
    frames: [text(octets("61 e2 82"), notFinal), more("")],
    outcome: fails(1007),
  },
  {
    id: "8.1-bad-in-fragment",
    section: "RFC 6455 §8.1",
    says: "ill-formed in a later fragment",
    frames: [text("good", notFinal), more(octets("ff"))],
    outcome: fails(1007),
  },
  {
    id: "8.1-bad-over-fragments",
    section: "RFC 6455 §8.1",
    says: "a surrogate put together from fragments",
    frames: [text(octets("ed"), notFinal), more(octets("a0 80"))],
    outcome: fails(1007),
  },
  {
    id: "8.1-long",
    section: "RFC 6455 §8.1",
    says: "characters of every length across any block size",
    frames: [text("aü€😀".repeat(400))],
    events: [{ type: "message", text: { repeat: "aü€😀", times: 400 } }],
  },
  {
    id: "8.1-long-bad-end",
    section: "RFC 6455 §8.1",
    says: "the last of many bytes is the ill-formed one",
    frames: [text(Buffer.concat([Buffer.alloc(1000, a), octets("ff")]))],
    outcome: fails(1007),
  },
];

export const content: readonly Case[] = [...data, ...encoding];
