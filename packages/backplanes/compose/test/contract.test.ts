import { afterAll, describe, expect, test } from "vitest";
import { BackplaneError, MemoryBroker, memoryBackplane, type Backplane } from "@zuruf/hub";
import { backplaneContract } from "@zuruf/hub/testing";
import { Member } from "../../../../test/brokers/member.ts";
import { compose } from "../src/index.ts";

const [relays, stores] = [new MemoryBroker(), new MemoryBroker()];
backplaneContract({
  name: "compose",
  create: () => Promise.resolve(compose({ relay: memoryBackplane(relays), store: memoryBackplane(stores) })),
  exceptions: { "no doubles announced": "a repeat is announced once more, in case the first announcement failed" },
  test: { describe, test, expect, afterAll },
});

/** A relay whose publications fail while it says so. */
function failing(relay: Backplane, fails: { now: boolean }): Backplane {
  const publish: Backplane["publish"] = (channel, data, options) =>
    fails.now
      ? Promise.reject(new BackplaneError("unknown", "the relay is out"))
      : relay.publish(channel, data, options);
  return new Proxy(relay, {
    get: (target, name) => {
      const value: unknown = name === "publish" ? publish : Reflect.get(target, name);
      return typeof value === "function" && name !== "publish" ? (value.bind(target) as unknown) : value;
    },
  });
}

describe("compose", () => {
  test("a publication is acknowledged when it is stored, announced or not; a repeat announces it again", async () => {
    const fails = { now: true };
    const member = await Member.start(
      compose({ relay: failing(memoryBackplane(), fails), store: memoryBackplane() }),
      "a",
    );
    await member.backplane.subscribe(["c"]);
    const position = await member.publish("c", "1", "key");
    expect(position?.offset).toBe(1);
    await member.until("suspect", () => member.suspects.flat().includes("c"));
    expect(await member.after("c", position?.epoch ?? "", 0)).toEqual(["1"]);
    await expect(member.backplane.publish("c", Buffer.from("x"), {})).rejects.toMatchObject({ code: "unknown" });
    fails.now = false;
    expect(await member.publish("c", "1", "key")).toEqual(position);
    await member.until("announced", () => member.texts("c").length === 1);
    await member.backplane.close();
  });

  test("a store must keep history", () => {
    const relay = memoryBackplane();
    const forgetful = new Proxy(relay, {
      get: (target, name) => (name === "can" ? { history: false } : (Reflect.get(target, name) as unknown)),
    });
    expect(() => compose({ relay, store: forgetful })).toThrow(/keeps no history/);
  });

  test("it is up when both are", async () => {
    const sinks: { up(): void; down(reason: string): void }[] = [];
    const hearing = (backplane: Backplane): Backplane =>
      new Proxy(backplane, {
        get: (target, name) => {
          if (name === "start")
            return (instance: string, sink: (typeof sinks)[number]) => {
              sinks.push(sink);
              return target.start(instance, sink as Parameters<Backplane["start"]>[1]);
            };
          const value: unknown = Reflect.get(target, name);
          return typeof value === "function" ? (value.bind(target) as unknown) : value;
        },
      });
    const member = await Member.start(
      compose({ relay: hearing(memoryBackplane()), store: hearing(memoryBackplane()) }),
      "a",
    );
    const [store, relay] = sinks;
    store?.down("store out");
    relay?.down("relay out");
    store?.up();
    relay?.up();
    expect(member.states).toEqual(["up", "down: store out", "up"]);
    await member.backplane.close();
  });
});
