/** Pings and pongs, RFC 6455 §5.5. */
import type { Case } from "./cases.ts";
import { answersPong, close, fails, more, notFinal, octets, ping, pinged, pong, ponged, said, text } from "./cases.ts";

const a = 0x61;

export const control: readonly Case[] = [
  {
    id: "5.5-ping-125",
    section: "RFC 6455 §5.5",
    says: "125 bytes are the most a control frame carries",
    frames: [ping(Buffer.alloc(125, a))],
    events: [pinged(Buffer.alloc(125, a))],
    answers: [answersPong(Buffer.alloc(125, a))],
  },
  {
    id: "5.5-ping-126",
    section: "RFC 6455 §5.5",
    says: "126 are too many",
    frames: [ping(Buffer.alloc(126, a))],
    outcome: fails(1002),
  },
  {
    id: "5.5-pong-126",
    section: "RFC 6455 §5.5",
    says: "in a pong too",
    frames: [pong(Buffer.alloc(126, a))],
    outcome: fails(1002),
  },
  {
    id: "5.5-close-126",
    section: "RFC 6455 §5.5",
    says: "in a close frame too",
    frames: [close(1000, "a".repeat(124))],
    outcome: fails(1002),
  },
  {
    id: "5.5-ping-64-bit",
    section: "RFC 6455 §5.5",
    says: "a ping that announces 64 KiB is refused by its header",
    frames: [ping("", { length: { form: 64, value: 65_536n } })],
    outcome: fails(1002),
  },
  {
    id: "5.5-ping-fragment",
    section: "RFC 6455 §5.5",
    says: "control frames are not fragmented",
    frames: [ping("Hello", notFinal)],
    outcome: fails(1002),
  },
  {
    id: "5.5-pong-fragment",
    section: "RFC 6455 §5.5",
    says: "pongs neither",
    frames: [pong("", notFinal)],
    outcome: fails(1002),
  },
  {
    id: "5.5-close-fragment",
    section: "RFC 6455 §5.5",
    says: "close frames neither",
    frames: [close(1000, "", notFinal)],
    outcome: fails(1002),
  },
  {
    id: "5.5-control-continued",
    section: "RFC 6455 §5.5",
    says: "a continuation never continues a control frame",
    frames: [ping("1"), more("2")],
    events: [pinged("1")],
    answers: [answersPong("1")],
    outcome: fails(1002),
  },
  {
    id: "5.5.2-ping-empty",
    section: "RFC 6455 §5.5.2",
    says: "an empty ping",
    frames: [ping("")],
    events: [pinged("")],
    answers: [answersPong("")],
  },
  {
    id: "5.5.2-ping-bytes",
    section: "RFC 6455 §5.5.2",
    says: "a ping's data need not be text",
    frames: [ping(octets("00ff fe fd fc fb 80"))],
    events: [pinged(octets("00fffefdfcfb80"))],
    answers: [answersPong(octets("00fffefdfcfb80"))],
  },
  {
    id: "5.5.2-pings",
    section: "RFC 6455 §5.5.2, §5.5.3",
    says: "ten pings with messages between them are answered in order",
    frames: Array.from({ length: 10 }, (_, i) => [ping(`${i}`), text(`m${i}`)]).flat(),
    events: Array.from({ length: 10 }, (_, i) => [pinged(`${i}`), said(`m${i}`)]).flat(),
    answers: Array.from({ length: 10 }, (_, i) => answersPong(`${i}`)),
  },
  {
    id: "5.5.3-unsolicited",
    section: "RFC 6455 §5.5.3",
    says: "an unsolicited pong needs no answer",
    frames: [pong("nobody asked"), text("Hello")],
    events: [ponged("nobody asked"), said("Hello")],
  },
];
