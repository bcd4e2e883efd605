import { setImmediate as turn } from "node:timers/promises";
import { expect, test } from "vitest";
import { RecordingSink } from "@zuruf/hub/testing";
import type { Connection, Row } from "../src/connection.ts";
import { Fetcher } from "../src/fetcher.ts";

/** A fetcher that knows nothing of "c" but that it begins at 0, and a server that answers as told. */
function fetching(answer: (sql: string, values: readonly unknown[]) => Row[] | Promise<Row[]>): {
  fetcher: Fetcher;
  sink: RecordingSink;
  asked: () => number;
} {
  const sink = new RecordingSink();
  const fetcher = new Fetcher("zuruf", sink, "a", []);
  let asked = 0;
  const connection = {
    query: async (sql: string, values: readonly unknown[] = []): Promise<Row[]> => {
      await turn();
      asked++;
      return answer(sql, values);
    },
  };
  fetcher.restart(connection as unknown as Connection);
  fetcher.add("c");
  fetcher.begin("c", 0);
  return { fetcher, sink, asked: () => asked };
}
const isPoll = (sql: string): boolean => sql.includes("known");
/** A block of one publication. @param n the channel's number in the question, from 1. */
const block = (first: number, text: string, n = 1): Row => {
  const length = Buffer.alloc(4);
  length.writeUInt32BE(text.length);
  return [`${n}`, "epoch:0", `${first}`, `\\x${Buffer.concat([length, Buffer.from(text)]).toString("hex")}`];
};
const turns = async (): Promise<void> => {
  for (let i = 0; i < 50; i++) await turn();
};

test("what could not be read is found by the next look at the heads", async () => {
  let refuse = true;
  const { fetcher, sink } = fetching((sql, values) => {
    if (isPoll(sql)) return (values[1] as number[])[0] === 0 ? [["c", "1"]] : [];
    if (refuse) throw new Error("canceling statement due to statement timeout");
    return [block(1, "x")];
  });
  fetcher.hint("log b 1=c");
  await turns();
  refuse = false;
  await fetcher.poll();
  await turns();
  expect(sink.texts("c")).toEqual(["x"]);
});

test("what is no block is asked for once, and what follows it is delivered", async () => {
  const { fetcher, sink, asked } = fetching((_sql, values) =>
    (values[1] as number[])[0] === 0 ? [["1", "epoch:0", "1", "\\x00"]] : [block(2, "y")],
  );
  fetcher.hint("log b 1=c");
  await turns();
  expect(asked()).toBe(1);
  fetcher.hint("log b 2=c");
  await turns();
  expect(sink.texts("c")).toEqual(["y"]);
});

test("an answer to the subscription before says nothing to the next one", async () => {
  const { fetcher, sink } = fetching((sql) => (isPoll(sql) ? [] : [block(1, "x")]));
  fetcher.hint("log b 1=c");
  await turn();
  fetcher.remove("c");
  fetcher.add("c");
  await turns();
  fetcher.begin("c", 2);
  fetcher.hint("log b 2=c");
  await turns();
  expect(sink.items).toEqual([]);
});

test("a channel that had no room in an answer is asked for again", async () => {
  const large = "x".repeat(4 * 1024 * 1024);
  const { fetcher, sink, asked } = fetching((_sql, values) => {
    const [channels, afters] = values as [string[], number[]];
    if (channels.length === 2) return [block(1, large, channels.indexOf("c") + 1)];
    return channels[0] === "d" && afters[0] === 0 ? [block(1, "y")] : [];
  });
  fetcher.add("d");
  fetcher.begin("d", 0);
  fetcher.hint("log b 1=c 1=d");
  await expect.poll(() => sink.texts("d")).toEqual(["y"]);
  expect(sink.texts("c")).toEqual([large]);
  expect(asked()).toBe(2);
});

test("a channel that always has more does not keep others waiting", async () => {
  const large = "x".repeat(4 * 1024 * 1024);
  // As the server does: the first block of each channel, until there is no room.
  const { fetcher, sink } = fetching((_sql, values) => {
    const [channels, afters] = values as [string[], number[]];
    const rows = channels.map((channel, i) => block((afters[i] ?? 0) + 1, channel === "c" ? large : "y", i + 1));
    return rows.slice(0, channels.indexOf("c") + 1);
  });
  for (const channel of ["d", "e"]) {
    fetcher.add(channel);
    fetcher.begin(channel, 0);
  }
  fetcher.hint("log b 5=c 1=d 1=e");
  await expect.poll(() => sink.texts("c").length).toBe(5);
  expect(sink.items.map(({ channel }) => channel).join("")).toBe("cdecccc");
});
