import type { SendingVector } from "../vector.ts";
import { binary, close, octets, ping, pong, text, utf8 } from "./cases.ts";
import { type Frame, frameBytes, key } from "./frame.ts";

interface Sending {
  readonly id: string;
  readonly section: string;
  readonly says: string;
  readonly sends: SendingVector["sends"];
  readonly frame: Frame;
}

const length = (times: number): Sending => ({
  id: `5.2-${times}`,
  section: "RFC 6455 §5.2",
  says: `${times} bytes, their length in its shortest form`,
  sends: { binary: times === 0 ? [] : [{ repeat: "61", times }] },
  frame: { opcode: 2, fill: { byte: 0x61, times } },
});

const all: readonly Sending[] = [
  {
    id: "5.7-text",
    section: "RFC 6455 §5.7",
    says: "a single-frame text message",
    sends: { text: "Hello" },
    frame: text("Hello"),
  },
  {
    id: "5.6-utf8",
    section: "RFC 6455 §5.6",
    says: "text as UTF-8",
    sends: { text: "ü€😀" },
    frame: text(utf8("ü€😀")),
  },
  { id: "5.6-empty", section: "RFC 6455 §5.6", says: "an empty text message", sends: { text: "" }, frame: text("") },
  {
    id: "5.6-binary",
    section: "RFC 6455 §5.6",
    says: "binary",
    sends: { binary: ["00 ff 80"] },
    frame: binary(octets("00ff80")),
  },
  ...[0, 1, 125, 126, 65_535, 65_536].map(length),
  {
    id: "5.5.2-ping",
    section: "RFC 6455 §5.5.2",
    says: "a ping with data",
    sends: { ping: "48656c6c6f" },
    frame: ping("Hello"),
  },
  { id: "5.5.2-ping-empty", section: "RFC 6455 §5.5.2", says: "a ping without", sends: { ping: "" }, frame: ping("") },
  {
    id: "5.5.3-pong",
    section: "RFC 6455 §5.5.3",
    says: "a pong nobody asked for",
    sends: { pong: "48656c6c6f" },
    frame: pong("Hello"),
  },
  {
    id: "5.5.1-empty",
    section: "RFC 6455 §5.5.1",
    says: "a close frame without a body",
    sends: { close: {} },
    frame: close(),
  },
  {
    id: "5.5.1-code",
    section: "RFC 6455 §5.5.1",
    says: "with a status code",
    sends: { close: { code: 1000 } },
    frame: close(1000),
  },
  {
    id: "5.5.1-reason",
    section: "RFC 6455 §5.5.1",
    says: "with a status code and a reason",
    sends: { close: { code: 4999, reason: "tschüs" } },
    frame: close(4999, "tschüs"),
  },
  {
    id: "5.5.1-longest",
    section: "RFC 6455 §5.5.1",
    says: "with the longest reason",
    sends: { close: { code: 3000, reason: "r".repeat(123) } },
    frame: close(3000, "r".repeat(123)),
  },
];

/** For both roles; the client's with RFC 6455 §5.7's key. */
export const sending: readonly SendingVector[] = all.flatMap(({ frame, id, ...rest }) =>
  (["server", "client"] as const).map((role) => {
    // What a server sends is what a client receives.
    const bytes = frameBytes(frame, role === "server" ? "client" : "server");
    return { id: `${id}-${role}`, ...rest, role, ...(role === "client" ? { mask: key.toString("hex") } : {}), bytes };
  }),
);
