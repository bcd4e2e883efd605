import { Deadlines } from "@zuruf/hub/store";
import { expect, onTestFinished, test } from "vitest";
import { JetStream } from "../src/jetstream.ts";
import { readSettings } from "../src/options.ts";
import type { Session } from "../src/session.ts";
import { Subjects } from "../src/subjects.ts";

test.each([
  [10_158, "duplicate message id is in process"],
  [10_163, "expected last sequence per subject temporarily unavailable"],
])(
  "what newer servers say while something else is on its way (%i) is asked again, until it is known",
  async (code, description) => {
    const answers = [
      { error: { code: 409, err_code: code, description } },
      { error: { code: 409, err_code: code, description } },
      { stream: "z", seq: 7 },
    ];
    const session = {
      atEnd: () => undefined,
      request: async () => ({ data: Buffer.from(JSON.stringify(answers.shift())) }),
    };
    const deadlines = new Deadlines(1000);
    onTestFinished(() => deadlines.close());
    const { stream } = readSettings("nats://h", {});
    if (stream === undefined) throw new Error("there is a stream");
    const jetstream = new JetStream(session as unknown as Session, stream, "h", new Subjects("z"), deadlines);
    const append = (): Promise<number> =>
      jetstream.append("s", Buffer.from("x"), { headers: {}, expected: 0, id: "s.0" });
    expect(await append()).toBe(7);
    answers.push({ error: { code: 400, err_code: 10_071, description: "wrong last sequence" } });
    await expect(append()).rejects.toMatchObject({ isWrongLast: true });
  },
);
