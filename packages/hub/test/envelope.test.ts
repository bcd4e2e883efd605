import { describe, expect, test } from "vitest";
import { decodeEnvelope, encodeEnvelope } from "../src/envelope.ts";

describe("the envelope", () => {
  test("carries who published, and the data as it came", () => {
    const info = { client: "c\n\u2028", user: 'ü"\\', time: 5, key: "k" };
    for (const payload of [
      { format: "json", text: `{"a" : "ü\\n",\n "b":1.0}` },
      { format: "binary", bytes: Uint8Array.of(10, 0, 255, 10) },
      { format: "binary", bytes: new Uint8Array(0) },
    ] as const)
      expect(decodeEnvelope(encodeEnvelope(info, payload, true))).toEqual({ info, payload });
    expect(decodeEnvelope(encodeEnvelope({ time: 1 }, { format: "json", text: "0" }, true))?.info).toEqual({ time: 1 });
  });

  test("short and long ones stay apart, however many there are", () => {
    const written = Array.from({ length: 500 }, (_, i) => {
      const text = JSON.stringify((i % 2 === 0 ? "ü😀" : "x").repeat((i * 7) % 300));
      return { text, bytes: encodeEnvelope({ time: i }, { format: "json", text }, i % 3 === 0) };
    });
    for (const [time, { text, bytes }] of written.entries())
      expect(decodeEnvelope(bytes)).toEqual({ info: { time }, payload: { format: "json", text } });
  });

  test("short ones that are kept keep nothing of what only passed by", () => {
    const payload = { format: "json", text: "1" } as const;
    const kept = Array.from({ length: 50 }, (_, time) => {
      for (let i = 0; i < 100; i++) encodeEnvelope({ time: i }, payload, false);
      return encodeEnvelope({ time }, payload, true);
    });
    expect(new Set(kept.map(({ buffer }) => buffer)).size).toBeLessThanOrEqual(2);
  });

  test("the newest is read without looking at it, those before it as ever", () => {
    const parts = Array.from({ length: 3 }, (_, time) => ({
      info: { time, client: `c${time}` },
      payload: { format: "json", text: `${time}`, value: time } as const,
    }));
    const envelopes = parts.map(({ info, payload }) => encodeEnvelope(info, payload, true));
    for (const [i, envelope] of [...envelopes, ...envelopes.toReversed()].entries()) {
      const { info, payload } = parts[i < 3 ? i : 5 - i]!;
      // Without the value: it is the publisher's, and a hook may have changed it.
      expect(decodeEnvelope(envelope)).toEqual({ info, payload: { format: "json", text: payload.text } });
      expect(decodeEnvelope(envelope.slice())).toEqual(decodeEnvelope(envelope));
    }
  });

  test("what a broker should not hold is no envelope", () => {
    const bytes = (text: string): Uint8Array => new TextEncoder().encode(text);
    for (const text of [
      "",
      "\u0010",
      "\u0010{}\n1",
      `\u0012{"time":1}\n1`,
      `\u0010{"time":1}`,
      `\u0010{"time":1,"user":2}\n1`,
      `\u0010null\n1`,
      `\u0010{"time":1.5}\n1`,
    ])
      expect(decodeEnvelope(bytes(text)), text).toBeUndefined();
    expect(decodeEnvelope(Uint8Array.of(0x10, 0xff, 0x0a, 0x31))).toBeUndefined();
    const cut = [...bytes(`\u0010{"time":1}\n"`), 0xc3];
    expect(decodeEnvelope(Uint8Array.from(cut))).toBeUndefined();
  });
});
