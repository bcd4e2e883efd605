import { constants, deflateRawSync } from "node:zlib";

import type { Case } from "./cases.ts";
import { answersPong, binary, bytes, close, fails, more, notFinal, octets, ping, pinged, said, text } from "./cases.ts";
import type { Frame } from "./frame.ts";

/** RSV1: this message is compressed (RFC 7692 §6). */
const compressed = { reserved: 4 } as const;
const first = { ...notFinal, ...compressed };
const single = { context: false, windowBits: 8 };
const shared = { context: true, windowBits: 8 };

/** RFC 7692 §7.2.1 with zlib; the bytes go into the vector, so another zlib's do not matter. */
function deflate(plain: Buffer, dictionary?: Buffer): Buffer {
  const options = { finishFlush: constants.Z_SYNC_FLUSH, ...(dictionary ? { dictionary } : {}) };
  return deflateRawSync(plain, options).subarray(0, -4);
}

function scrambled(length: number): Buffer {
  let state = 0x2545f491;
  return Buffer.from(
    Array.from({ length }, () => {
      state ^= state << 13;
      state ^= state >>> 17;
      state ^= state << 5;
      return state & 0xff;
    }),
  );
}

const noise = scrambled(2048);
const filler = Buffer.alloc(28_000, 0x61);
const hello = octets("f2 48 cd c9 c9 07 00");
const again = octets("f2 00 11 00 00");
const verse = "Wer reitet so spät durch Nacht und Wind? Es ist der Vater mit seinem Kind. ".repeat(8);

const cases: readonly (Omit<Case, "deflate"> & { readonly deflate?: Case["deflate"] })[] = [
  {
    id: "7.2.3.1-one",
    section: "RFC 7692 §7.2.3.1",
    says: "Hello in one compressed DEFLATE block",
    frames: [text(hello, compressed)],
    events: [said("Hello")],
  },
  {
    id: "7.2.3.1-fragments",
    section: "RFC 7692 §7.2.3.1",
    says: "the same in two fragments",
    frames: [text(octets("f2 48 cd"), first), more(octets("c9 c9 07 00"))],
    events: [said("Hello")],
  },
  {
    id: "7.2.3.2-not-shared",
    section: "RFC 7692 §7.2.3.2",
    says: "Hello twice, the second without the first's window",
    frames: [text(hello, compressed), text(hello, compressed)],
    events: [said("Hello"), said("Hello")],
  },
  {
    id: "7.2.3.2-shared",
    section: "RFC 7692 §7.2.3.2",
    says: "Hello twice, the second from the first's window",
    deflate: shared,
    frames: [text(hello, compressed), text(again, compressed)],
    events: [said("Hello"), said("Hello")],
  },
  {
    id: "7.2.3.3-stored",
    section: "RFC 7692 §7.2.3.3",
    says: "a DEFLATE block with no compression",
    frames: [text(octets("00 05 00 fa ff 48 65 6c 6c 6f 00"), compressed)],
    events: [said("Hello")],
  },
  {
    id: "7.2.3.4-bfinal",
    section: "RFC 7692 §7.2.3.4",
    says: "a DEFLATE block with BFINAL set to 1",
    frames: [text(octets("f3 48 cd c9 c9 07 00 00"), compressed)],
    events: [said("Hello")],
  },
  {
    id: "7.2.3.4-after-bfinal",
    section: "RFC 7692 §7.2.3.4",
    says: "and a message after it",
    frames: [text(octets("f3 48 cd c9 c9 07 00 00"), compressed), text(hello, compressed)],
    events: [said("Hello"), said("Hello")],
  },
  {
    id: "7.2.3.5-two-blocks",
    section: "RFC 7692 §7.2.3.5",
    says: "two DEFLATE blocks in one message",
    frames: [text(octets("f2 48 05 00 00 00 ff ff ca c9 c9 07 00"), compressed)],
    events: [said("Hello")],
  },
  {
    id: "7.2.3.6-empty",
    section: "RFC 7692 §7.2.3.6",
    says: "an empty message is one octet",
    frames: [text(octets("00"), compressed)],
    events: [said("")],
  },
  {
    id: "7.2.3.6-empty-fragment",
    section: "RFC 7692 §7.2.3.6",
    says: "an empty uncompressed last fragment",
    frames: [text(hello, first), more("")],
    events: [said("Hello")],
  },
  {
    id: "7.2.1-empty-last-octet",
    section: "RFC 7692 §7.2.1",
    says: "a last fragment that only closes the block",
    frames: [text(octets("f2 48 cd c9 c9 07"), first), more(octets("00"))],
    events: [said("Hello")],
  },
  {
    id: "6-uncompressed",
    section: "RFC 7692 §6",
    says: "a message without RSV1 is not compressed, though the extension is agreed",
    frames: [text("plain"), text(hello, compressed), text("plain again")],
    events: [said("plain"), said("Hello"), said("plain again")],
  },
  {
    id: "7.2.2-uncompressed-between",
    section: "RFC 7692 §7.2.2",
    says: "what is not compressed does not enter the window",
    deflate: shared,
    frames: [text(hello, compressed), text("not in the window"), text(again, compressed)],
    events: [said("Hello"), said("not in the window"), said("Hello")],
  },
  {
    id: "6.1-control-between",
    section: "RFC 7692 §6.1",
    says: "control frames between compressed fragments are not compressed",
    frames: [text(octets("f2 48 cd"), first), ping("Hello"), more(octets("c9 c9 07 00"))],
    events: [pinged("Hello"), said("Hello")],
    answers: [answersPong("Hello")],
  },
  {
    id: "6.1-rsv1-continuation",
    section: "RFC 7692 §6.1",
    says: "RSV1 on a continuation",
    frames: [text(octets("f2 48 cd"), first), more(octets("c9 c9 07 00"), compressed)],
    outcome: fails(1002),
  },
  {
    id: "6.1-rsv1-continuation-plain",
    section: "RFC 7692 §6.1",
    says: "RSV1 on a continuation of an uncompressed message",
    frames: [text("Hel", notFinal), more("lo", compressed)],
    outcome: fails(1002),
  },
  {
    id: "6.1-rsv1-ping",
    section: "RFC 7692 §6.1",
    says: "RSV1 on a ping",
    frames: [ping("", compressed)],
    outcome: fails(1002),
  },
  {
    id: "6.1-rsv1-close",
    section: "RFC 7692 §6.1",
    says: "RSV1 on a close frame",
    frames: [close(1000, "", compressed)],
    outcome: fails(1002),
  },
  {
    id: "6-rsv2",
    section: "RFC 7692 §6, RFC 6455 §5.2",
    says: "RSV2 stays reserved",
    frames: [text("Hello", { reserved: 2 })],
    outcome: fails(1002),
  },
  {
    id: "6-rsv1-rsv3",
    section: "RFC 7692 §6, RFC 6455 §5.2",
    says: "RSV3 beside RSV1",
    frames: [text(hello, { reserved: 5 })],
    outcome: fails(1002),
  },
  {
    id: "6.2-binary",
    section: "RFC 7692 §6.2",
    says: "a compressed binary message",
    frames: [binary(deflate(octets("00ff80")), compressed)],
    events: [bytes(octets("00ff80"))],
  },
  {
    id: "6.2-octets",
    section: "RFC 7692 §6.1, §6.2",
    says: "a fragment for every byte of the compressed data",
    frames: [...hello].map((byte, i): Frame => ({
      opcode: i === 0 ? 1 : 0,
      data: Buffer.from([byte]),
      fin: i === 6,
      reserved: i === 0 ? 4 : 0,
    })),
    events: [said("Hello")],
  },
  {
    id: "7.2.2-utf8",
    section: "RFC 7692 §7.2.2, RFC 6455 §8.1",
    says: "compressed text that is UTF-8",
    frames: [text(deflate(Buffer.from("Grüße 😀")), compressed)],
    events: [said("Grüße 😀")],
  },
  {
    id: "7.2.2-not-utf8",
    section: "RFC 7692 §7.2.2, RFC 6455 §8.1",
    says: "compressed text that is not",
    frames: [text(deflate(octets("61 ed a0 80")), compressed)],
    outcome: fails(1007),
  },
  {
    id: "7.2.2-garbage",
    section: "RFC 7692 §7.2.2",
    says: "what DEFLATE does not know: block type 3",
    frames: [text(octets("ff ff ff ff"), compressed)],
    outcome: fails(1007, 1002),
  },
  {
    id: "7.2.2-stored-mismatch",
    section: "RFC 7692 §7.2.2, RFC 1951 §3.2.4",
    says: "a stored block whose length contradicts its complement",
    frames: [text(octets("00 05 00 00 00 48 65 6c 6c 6f 00"), compressed)],
    outcome: fails(1007, 1002),
  },
  {
    id: "7.2.2-before-window",
    section: "RFC 7692 §7.2.2",
    says: "a reference to before the first message",
    frames: [text(again, compressed)],
    outcome: fails(1007, 1002),
  },
  {
    id: "7.2.2-dynamic",
    section: "RFC 7692 §7.2.2, RFC 1951 §3.2.7",
    says: "dynamic Huffman codes",
    frames: [text(deflate(Buffer.from(verse)), compressed)],
    events: [said(verse)],
    deflate: { context: false, windowBits: 15 },
  },
  {
    id: "7.2.2-expands",
    section: "RFC 7692 §7.2.2",
    says: "64 KiB from less than 100 bytes",
    frames: [text(deflate(Buffer.alloc(65_536, "a")), compressed)],
    events: [said({ repeat: "a", times: 65_536 })],
    deflate: { context: false, windowBits: 15 },
  },
  {
    id: "7.1.2-whole-window",
    section: "RFC 7692 §7.1.2, §7.2.3.2",
    says: "a reference over almost all of the largest window",
    frames: [
      binary(deflate(noise), compressed),
      binary(deflate(filler, noise), compressed),
      binary(deflate(noise, Buffer.concat([noise, filler])), compressed),
    ],
    events: [bytes(noise), { type: "message", binary: [{ repeat: "61", times: filler.length }] }, bytes(noise)],
    deflate: { context: true, windowBits: 15 },
  },
];

export const deflateCases: readonly Case[] = cases.map((it) => ({ ...it, deflate: it.deflate ?? single }));
