import type { Contract } from "./contract.ts";
import { bytes, eventually, rejection, text } from "./harness.ts";

/** What is announced, what reaches whom, and what instances say to each other. */
export function relayContract({ join, channelName, test, expect }: Contract): void {
  test("start reports up", async () => {
    const { sink } = await join();
    await eventually(() => sink.states.includes("up"), "up");
  });

  test("a publication without history reaches every interested instance, the publisher's own too", async () => {
    const [a, b] = [await join(), await join()];
    const channel = channelName();
    await a.backplane.subscribe([channel]);
    await b.backplane.subscribe([channel]);
    expect(await a.backplane.publish(channel, bytes("hi"), {})).toBe(undefined);
    for (const { sink } of [a, b]) {
      await eventually(() => sink.items.length > 0, "the publication");
      expect(sink.items.map(({ channel, item }) => [channel, item.offset, text(item.data)])).toEqual([
        [channel, 0, "hi"],
      ]);
    }
  });

  test("bytes arrive as they were, none and all values, and large", async () => {
    const [a, b] = [await join(), await join()];
    const channel = channelName();
    await b.backplane.subscribe([channel]);
    const payloads = [
      new Uint8Array(0),
      Uint8Array.from({ length: 256 }, (_, i) => i),
      new Uint8Array(200_000).fill(7),
    ];
    for (const payload of payloads) await a.backplane.publish(channel, payload, {});
    await eventually(() => b.sink.items.length >= 3, "three publications");
    expect(b.sink.items.map(({ item }) => [...item.data])).toEqual(payloads.map((payload) => [...payload]));
  });

  test("channel names of every allowed kind are told apart", async () => {
    const a = await join();
    const base = channelName();
    const channels = ["*", ":", "ü€😀", "a.b", "a/b", "[x]", "?", "\\", "'\"", "%s", "A", "a"].map(
      (end) => `${base}:${end}`,
    );
    channels.push("x".repeat(200 - base.length - 1) + base);
    await a.backplane.subscribe(channels);
    for (const channel of channels) await a.backplane.publish(channel, bytes(channel), {});
    await eventually(() => a.sink.items.length >= channels.length, "one publication per channel");
    expect(a.sink.items.map(({ channel, item }) => channel === text(item.data)).every(Boolean)).toBe(true);
    expect(new Set(a.sink.items.map(({ channel }) => channel)).size).toBe(channels.length);
  });

  test("after unsubscribe, and without subscribe, nothing comes", async () => {
    const [a, b] = [await join(), await join()];
    const [left, kept] = [channelName(), channelName()];
    await b.backplane.subscribe([left, kept]);
    await b.backplane.unsubscribe([left]);
    await a.backplane.publish(left, bytes("no"), {});
    await a.backplane.publish(channelName(), bytes("no"), {});
    await a.backplane.publish(kept, bytes("yes"), {});
    await eventually(() => b.sink.texts(kept).length === 1, "the publication on the channel that was kept");
    expect(b.sink.texts(left)).toEqual([]);
  });

  test("interest comes back after unsubscribe and subscribe at once", async () => {
    const a = await join();
    const channel = channelName();
    for (let round = 0; round < 5; round++) {
      await a.backplane.subscribe([channel]);
      const gone = a.backplane.unsubscribe([channel]);
      const back = a.backplane.subscribe([channel]);
      await gone;
      await back;
    }
    await a.backplane.publish(channel, bytes("here"), {});
    await eventually(() => a.sink.texts(channel).length === 1, "the publication");
  });

  test("10,000 channels are subscribed, asked about and left in bulk", async () => {
    const [a, b] = [await join(), await join()];
    const channels = Array.from({ length: 10_000 }, channelName);
    await b.backplane.subscribe(channels);
    const some = channels.filter((_, i) => i % 500 === 0);
    for (const channel of some) await a.backplane.publish(channel, bytes("x"), {});
    await eventually(() => b.sink.items.length >= some.length, "one publication on each of some channels");
    expect(b.sink.items.map(({ channel }) => channel)).toEqual(some);
    if (a.backplane.can.history) expect((await b.backplane.heads(channels)).size).toBe(channels.length);
    await b.backplane.unsubscribe(channels);
    await b.backplane.subscribe(some.slice(0, 1));
    for (const channel of [...some.slice(1), ...some.slice(0, 1)]) await a.backplane.publish(channel, bytes("y"), {});
    await eventually(() => b.sink.items.length > some.length, "the publication on the channel that was kept");
    expect(b.sink.items.slice(some.length).map(({ channel }) => channel)).toEqual(some.slice(0, 1));
  });

  test("control reaches all others, or one, and never the sender", async () => {
    const [a, b, c] = [await join(), await join(), await join()];
    await a.backplane.control(bytes("all"));
    await a.backplane.control(bytes("b only"), b.instance);
    await a.backplane.control(bytes("all again"));
    await eventually(() => c.sink.controls.length >= 2 && b.sink.controls.length >= 3, "the control messages");
    expect(c.sink.controls).toEqual([
      { from: a.instance, text: "all" },
      { from: a.instance, text: "all again" },
    ]);
    expect(b.sink.controls.map((control) => control.text).toSorted()).toEqual(["all", "all again", "b only"]);
    expect(a.sink.controls).toEqual([]);
    await a.backplane.control(bytes("nobody"), "no-such-instance");
  });

  test(
    "control keeps its order per sender",
    async () => {
      const [a, b] = [await join(), await join()];
      const sent = Array.from({ length: 100 }, (_, i) => String(i));
      await Promise.all(
        sent.map((message, i) => a.backplane.control(bytes(message), i % 2 === 0 ? b.instance : undefined)),
      );
      await eventually(() => b.sink.controls.length >= 100, "100 control messages");
      expect(b.sink.controls.map((control) => control.text)).toEqual(sent);
    },
    "control order",
  );

  test("after close every call rejects with closed, and close may be called again", async () => {
    const a = await join();
    await a.backplane.close();
    await a.backplane.close();
    const channel = channelName();
    expect(await rejection(a.backplane.publish(channel, bytes("x"), {}))).toBe("closed");
    expect(await rejection(a.backplane.subscribe([channel]))).toBe("closed");
    expect(await rejection(a.backplane.heads([channel]))).toBe("closed");
    expect(await rejection(a.backplane.history(channel, { limit: 1 }))).toBe("closed");
    expect(await rejection(a.backplane.control(bytes("x")))).toBe("closed");
  });
}
