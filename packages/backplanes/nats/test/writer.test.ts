import type { Position, PublishOptions } from "@zuruf/hub";
import { expect, onTestFinished, test } from "vitest";
import { lastOffset, readEntry } from "../src/entry.ts";
import type { Stored } from "../src/answers.ts";
import { Subjects } from "../src/subjects.ts";
import { Writer } from "../src/writer.ts";
import { OneSubject } from "./one-subject.ts";

const retention = { size: 100, ttl: 3_600_000, bytes: 0 };

function writerOf(stream: OneSubject): Writer {
  const epochs = { at: () => "e" };
  const writer = new Writer(stream, epochs, new Subjects("z"), () => undefined);
  onTestFinished(() => writer.close());
  return writer;
}
const one = (text: string, key?: string): { data: Uint8Array; options: PublishOptions }[] => [
  { data: Buffer.from(text), options: { retention, ...(key !== undefined && { key }) } },
];

test("keys that are still being read are waited for, also by who comes after one that did not wait so long", async () => {
  const stream = new OneSubject();
  const [first] = await writerOf(stream).append("c", one("1", "key"), 1000);
  // Another instance, at which the reading takes longer than the first who needs it has time.
  let answer = (): void => undefined;
  stream.open = new Promise((resolve) => {
    answer = resolve;
  });
  const writer = writerOf(stream);
  const late = writer.append("c", one("1", "key"), 0);
  await new Promise(setImmediate);
  const again = writer.append("c", one("1", "key"), 1000);
  await new Promise(setImmediate);
  answer();
  expect(await Promise.all([late, again])).toEqual([[first], [first]]);
  expect(stream.log).toHaveLength(1);
});

test("what another instance stored is not asked for where its announcement was here first", async () => {
  const stream = new OneSubject();
  const [writer, other] = [writerOf(stream), writerOf(stream)];
  const [first] = await writer.append("c", one("1", "1"), 1000);
  let second: Position | undefined;
  stream.before = async () => {
    const last = stream.log.length;
    [second] = await other.append("c", one("2", "2"), 1000);
    writer.heard("c", readEntry(stream.log[last] as Stored), last);
    stream.asked.length = 0;
  };
  const batch = [...one("1", "1"), ...one("2", "2"), ...one("3", "3")];
  expect(await writer.append("c", batch, 1000)).toEqual([first, second, { epoch: "e", offset: lastOffset(3) }]);
  expect(stream.asked).toEqual(["append"]);
});
