import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { Connection } from "../src/core/connection.ts";
import { WebSocketError } from "../src/core/errors.ts";
import { encodeFrame } from "../src/core/frame.ts";
import { Opcode } from "../src/core/opcode.ts";
import { ascii, concat, hex } from "./bytes.ts";
import { clientSettings, run, serverSettings } from "./events-of.ts";
import type { Seen } from "./events-of.ts";

const key = 0x3d21fa37;

function frame(
  opcode: number,
  payload: Uint8Array | string,
  options: { fin?: boolean; compressed?: boolean } = {},
): Uint8Array {
  return encodeFrame(opcode, typeof payload === "string" ? new Uint8Array(Buffer.from(payload)) : payload, {
    key,
    ...options,
  });
}

describe("RFC 6455 §5.7", () => {
  const binary256 = new Uint8Array(256).fill(7);
  const binary64k = new Uint8Array(65536).fill(9);
  test.each<[string, Uint8Array, Seen[]]>([
    ["a single-frame unmasked text", hex("81 05 48 65 6c 6c 6f"), [["text", "Hello"]]],
    ["a fragmented unmasked text", hex("01 03 48 65 6c 80 02 6c 6f"), [["text", "Hello"]]],
    ["an unmasked ping", hex("89 05 48 65 6c 6c 6f"), [["ping", "Hello"]]],
    ["256 bytes", concat([hex("82 7e 01 00"), binary256]), [["binary", "07".repeat(256)]]],
    ["64 KiB", concat([hex("82 7f 00 00 00 00 00 01 00 00"), binary64k]), [["binary", "09".repeat(65536)]]],
  ])("a client reads %s", (_name, bytes, events) => {
    expect(run([bytes], clientSettings).events).toEqual(events);
  });

  test("a server reads a masked text and a masked pong", () => {
    expect(run([hex("81 85 37 fa 21 3d 7f 9f 4d 51 58")]).events).toEqual([["text", "Hello"]]);
    expect(run([hex("8a 85 37 fa 21 3d 7f 9f 4d 51 58")]).events).toEqual([["pong", "Hello"]]);
  });

  test("encoding gives the same bytes", () => {
    expect(encodeFrame(Opcode.text, ascii("Hello"))).toEqual(hex("81 05 48 65 6c 6c 6f"));
    expect(encodeFrame(Opcode.text, ascii("Hello"), { key: 0x3d21fa37 })).toEqual(
      hex("81 85 37 fa 21 3d 7f 9f 4d 51 58"),
    );
    expect(encodeFrame(Opcode.text, ascii("Hel"), { fin: false })).toEqual(hex("01 03 48 65 6c"));
    expect(encodeFrame(Opcode.binary, binary256).slice(0, 4)).toEqual(hex("82 7e 01 00"));
    expect(encodeFrame(Opcode.binary, binary64k).slice(0, 10)).toEqual(hex("82 7f 00 00 00 00 00 01 00 00"));
  });
});

describe("control frames", () => {
  test("a ping is answered with its own data, §5.5.2", () => {
    const { events, output } = run([frame(Opcode.ping, "now")]);
    expect(events).toEqual([["ping", "now"]]);
    expect(output).toBe(Buffer.from(encodeFrame(Opcode.pong, ascii("now"))).toString("hex"));
  });

  test("they may come between the fragments of a message, §5.4", () => {
    const { events } = run([
      frame(Opcode.text, "a", { fin: false }),
      frame(Opcode.ping, "p"),
      frame(Opcode.continuation, "b"),
    ]);
    expect(events).toEqual([
      ["ping", "p"],
      ["text", "ab"],
    ]);
  });

  test("a close frame is answered with its code, §5.5.1, and what follows is not read", () => {
    const close = concat([hex("03e9"), ascii("bye")]);
    const { events, output, connection } = run([concat([frame(Opcode.close, close), frame(Opcode.text, "late")])]);
    expect(events).toEqual([["close", 1001, "bye"]]);
    expect(output).toBe("880203e9");
    expect(connection.state).toBe("closed");
    expect(connection.end()).toBe(true);
  });

  test("a close frame without a code reads as 1005, §7.1.5", () => {
    expect(run([frame(Opcode.close, "")])).toMatchObject({ events: [["close", 1005, ""]], output: "8800" });
  });

  test("a side that closes reads on until the answer, and is then closed", () => {
    const connection = new Connection(serverSettings);
    connection.close(1000, "done");
    expect(connection.state).toBe("closeSent");
    expect(Buffer.concat(connection.takeOutput()).toString("hex")).toBe("880603e8646f6e65");
    connection.ping();
    connection.send("ignored");
    expect(connection.hasOutput).toBe(false);
    connection.feed(concat([frame(Opcode.text, "late"), frame(Opcode.close, hex("03e8"))]));
    expect(connection.next()).toMatchObject({ type: "message" });
    expect(connection.next()).toMatchObject({ type: "close", code: 1000 });
    expect(connection.hasOutput).toBe(false);
    expect(connection.state).toBe("closed");
  });

  test("a stream that ends without close frames was not closed cleanly, §7.1.5", () => {
    const connection = new Connection(serverSettings);
    expect(connection.end()).toBe(false);
    expect(connection.state).toBe("failed");
  });

  test.each([
    [999, ""],
    [1004, ""],
    [1005, ""],
    [1006, ""],
    [1015, ""],
    [2999, ""],
    [5000, ""],
    [1000.5, ""],
    [1000, "x".repeat(124)],
    [undefined, "reason without code"],
  ])("close(%s) is refused where it must not be sent", (code, reason) => {
    expect(() => new Connection(serverSettings).close(code, reason)).toThrow(WebSocketError);
  });
});

describe("violations fail the connection with a close frame", () => {
  const declare = (bytes: string): Uint8Array => hex(bytes);
  test.each<[string, Uint8Array | Uint8Array[], string, number]>([
    ["RSV1 without an extension", hex("c1 80 00000000"), "RESERVED_BITS", 1002],
    ["RSV2", hex("a1 80 00000000"), "RESERVED_BITS", 1002],
    ["RSV3", hex("91 80 00000000"), "RESERVED_BITS", 1002],
    ["opcode 3", hex("83 80 00000000"), "UNKNOWN_OPCODE", 1002],
    ["opcode 11", hex("8b 80 00000000"), "UNKNOWN_OPCODE", 1002],
    ["no mask", hex("81 00"), "NOT_MASKED", 1002],
    ["a fragmented ping", hex("09 80 00000000"), "CONTROL_FRAGMENTED", 1002],
    ["a ping of 126 bytes", hex("89 fe 007e 00000000"), "CONTROL_TOO_LONG", 1002],
    ["a continuation of nothing", hex("80 80 00000000"), "CONTINUATION_WITHOUT_START", 1002],
    [
      "two messages interleaved",
      [frame(Opcode.text, "a", { fin: false }), frame(Opcode.text, "b")],
      "MESSAGE_UNFINISHED",
      1002,
    ],
    ["length 125 in 16 bits", hex("82 fe 007d 00000000"), "LENGTH_NOT_MINIMAL", 1002],
    ["length 65535 in 64 bits", hex("82 ff 000000000000ffff 00000000"), "LENGTH_NOT_MINIMAL", 1002],
    ["length 2^63", declare("82 ff 8000000000000000 00000000"), "LENGTH_TOO_LARGE", 1002],
    ["length 2^63-1", declare("82 ff 7fffffffffffffff 00000000"), "FRAME_TOO_LARGE", 1009],
    ["length 2^32", declare("82 ff 0000000100000000 00000000"), "FRAME_TOO_LARGE", 1009],
    ["one byte more than maxFrame", declare("82 ff 0000000000100001 00000000"), "FRAME_TOO_LARGE", 1009],
    ["a close frame of one byte", frame(Opcode.close, "x"), "CLOSE_PAYLOAD", 1002],
    ["close code 1005", frame(Opcode.close, hex("03ed")), "CLOSE_CODE", 1002],
    ["close code 0", frame(Opcode.close, hex("0000")), "CLOSE_CODE", 1002],
    ["a close reason that is not UTF-8", frame(Opcode.close, hex("03e8ff")), "INVALID_UTF8", 1007],
    ["text that is not UTF-8", frame(Opcode.text, hex("c080")), "INVALID_UTF8", 1007],
    ["text with a surrogate", frame(Opcode.text, hex("eda080")), "INVALID_UTF8", 1007],
  ])("%s", (_name, bytes, code, closeCode) => {
    const { events, output, connection } = run(Array.isArray(bytes) ? bytes : [bytes]);
    expect(events).toEqual([["fail", code, closeCode]]);
    expect(output).toBe(`8802${closeCode.toString(16).padStart(4, "0")}`);
    expect(connection.state).toBe("failed");
    connection.feed(frame(Opcode.text, "more"));
    expect(connection.next()).toBeUndefined();
  });

  test("a masked frame from a server, §5.1", () => {
    expect(run([hex("81 80 00000000")], clientSettings).events).toEqual([["fail", "MASKED", 1002]]);
  });
});

describe("limits", () => {
  const settings = { ...serverSettings, maxMessage: 200, maxFrame: 150, maxFragments: 3 };
  const part = (length: number, opcode: number, fin: boolean): Uint8Array =>
    frame(opcode, new Uint8Array(length), { fin });

  test("a message at maxMessage is read, one byte more is not", () => {
    expect(run([part(150, 2, false), part(50, 0, true)], settings).events).toHaveLength(1);
    expect(run([part(150, 2, false), part(51, 0, true)], settings).events).toEqual([
      ["fail", "MESSAGE_TOO_LARGE", 1009],
    ]);
  });

  test("as many frames as maxFragments are read, one more is not, be they empty", () => {
    const parts = (count: number): Uint8Array[] =>
      Array.from({ length: count }, (_, i) => part(0, i === 0 ? 2 : 0, i === count - 1));
    expect(run(parts(3), settings).events).toEqual([["binary", ""]]);
    expect(run(parts(4), settings).events).toEqual([["fail", "TOO_MANY_FRAGMENTS", 1008]]);
  });

  test("memory follows what has arrived, not what was declared, §10.4", () => {
    const asked: number[] = [];
    const connection = new Connection({
      ...serverSettings,
      loops: {
        applyMask: () => 0,
        isUtf8: () => true,
        allocate: (length) => {
          asked.push(length);
          return new Uint8Array(length);
        },
      },
    });
    connection.feed(concat([hex("82 ff 0000000000100000 00000000"), new Uint8Array(10)]));
    expect(connection.next()).toBeUndefined();
    expect(asked).toEqual([4096]);
    connection.feed(new Uint8Array(10_000));
    expect(connection.next()).toBeUndefined();
    expect(asked).toEqual([4096, 40_040]);
  });
});

describe("detach", () => {
  test("keeps what was fed and not read", () => {
    const connection = new Connection(serverSettings);
    // A Buffer: its `slice` is a view.
    const bytes = Buffer.concat([frame(Opcode.text, "one"), frame(Opcode.text, "two"), frame(Opcode.text, "three")]);
    connection.feed(bytes);
    expect(connection.next()).toMatchObject({ type: "message" });
    connection.detach();
    bytes.fill(0);
    connection.feed(frame(Opcode.text, "four"));
    const texts: string[] = [];
    for (let event = connection.next(); event !== undefined; event = connection.next()) {
      if (event.type === "message") texts.push(Buffer.from(event.bytes.subarray(event.start, event.end)).toString());
    }
    expect(texts).toEqual(["two", "three", "four"]);
  });
});

describe("properties", () => {
  const message = fc.record({
    text: fc.boolean(),
    content: fc.oneof(
      fc.string({ unit: "binary", maxLength: 20 }),
      fc.constant("a".repeat(300)),
      fc.constant("é".repeat(40_000)),
    ),
    cuts: fc.array(fc.nat(50), { maxLength: 3 }),
    ping: fc.boolean(),
  });

  const encode = (
    messages: readonly { text: boolean; content: string; cuts: number[]; ping: boolean }[],
    mask?: number,
  ): Uint8Array => {
    const options = mask === undefined ? {} : { key: mask };
    const frames: Uint8Array[] = [];
    for (const { text, content, cuts, ping } of messages) {
      let rest = new Uint8Array(Buffer.from(content));
      let opcode: number = text ? Opcode.text : Opcode.binary;
      for (const cut of cuts) {
        frames.push(encodeFrame(opcode, rest.subarray(0, cut), { ...options, fin: false }));
        if (ping) frames.push(encodeFrame(Opcode.ping, rest.subarray(0, 5), options));
        rest = rest.subarray(cut);
        opcode = Opcode.continuation;
      }
      frames.push(encodeFrame(opcode, rest, options));
    }
    frames.push(encodeFrame(Opcode.close, hex("0bb8"), options));
    return concat(frames);
  };

  const split = (bytes: Uint8Array, cuts: readonly number[]): Uint8Array[] => {
    const places = [0, ...[...cuts].map((cut) => cut % (bytes.length + 1)).sort((a, b) => a - b), bytes.length];
    return places.slice(1).map((end, i) => bytes.subarray(places[i], end));
  };

  test("every split of a stream gives the same events and output, in both roles", () => {
    fc.assert(
      fc.property(
        fc.array(message, { maxLength: 4 }),
        fc.array(fc.nat(), { maxLength: 12 }),
        fc.boolean(),
        (messages, cuts, server) => {
          const settings = server ? serverSettings : clientSettings;
          const bytes = encode(messages, server ? key : undefined);
          const whole = run([bytes], settings);
          const pieces = run(split(bytes, cuts), settings);
          expect(pieces.events).toEqual(whole.events);
          expect(pieces.output).toBe(whole.output);
          expect(whole.events.filter(([type]) => type === "text" || type === "binary")).toEqual(
            messages.map(({ text, content }) =>
              text ? ["text", Buffer.from(content).toString()] : ["binary", Buffer.from(content).toString("hex")],
            ),
          );
        },
      ),
      { numRuns: 300 },
    );
  });

  test("one byte at a time gives the same events", () => {
    const bytes = encode(
      [
        { text: true, content: "grüße €😀", cuts: [1, 2], ping: true },
        { text: false, content: "x".repeat(130), cuts: [], ping: false },
      ],
      key,
    );
    expect(run([...bytes].map((byte) => Uint8Array.of(byte))).events).toEqual(run([bytes]).events);
  });

  test("random bytes never throw, whatever the split", () => {
    fc.assert(
      fc.property(
        fc.uint8Array({ maxLength: 200 }),
        fc.array(fc.nat(), { maxLength: 6 }),
        fc.boolean(),
        (bytes, cuts, server) => {
          const settings = server ? serverSettings : clientSettings;
          expect(run(split(bytes, cuts), settings, true).events).toEqual(run([bytes], settings, true).events);
        },
      ),
      { numRuns: 1000 },
    );
  });
});
