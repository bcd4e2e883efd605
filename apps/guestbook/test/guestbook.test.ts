import type { Channel, Client } from "@zuruf/client";
import { describe, expect, test } from "vitest";
import type { EntriesPage, Entry } from "../src/entry.ts";
import { Guestbook } from "../src/page/guestbook.ts";

type Listener = (event: never) => void;

/** The page's side of a channel, played by hand. */
class Stage {
  state = "unsubscribed";
  position: { epoch: string; offset: number } | undefined;
  subscribedFrom: unknown[] = [];
  published: { data: unknown; key: string; answer: PromiseWithResolvers<{ position: unknown }> }[] = [];
  reads: { before: number | undefined; answer: PromiseWithResolvers<EntriesPage> }[] = [];
  storage = new Map<string, string>();
  now = 1_000_000;
  clientState = "disconnected";
  readonly #listeners = new Map<string, Listener[]>();

  guestbook(): Guestbook {
    const channel = {
      on: (name: string, listener: Listener) => this.#on(`channel ${name}`, listener),
      subscribe: async ({ position }: { position?: unknown }) => void this.subscribedFrom.push(position),
      publish: (data: unknown, { key }: { key: string }) => {
        const answer = deferred<{ position: unknown }>();
        this.published.push({ data, key, answer });
        return answer.promise;
      },
    };
    Object.defineProperty(channel, "state", { get: () => this.state });
    Object.defineProperty(channel, "position", { get: () => this.position });
    const client = {
      instance: "i1",
      on: (name: string, listener: Listener) => this.#on(`client ${name}`, listener),
      connect: () => undefined,
      channel: () => channel as unknown as Channel<Entry>,
    };
    return new Guestbook({
      client: client as unknown as Client,
      fetchEntries: ({ before }) => {
        const answer = deferred<EntriesPage>();
        this.reads.push({ before, answer });
        return answer.promise;
      },
      storage: {
        getItem: (key) => this.storage.get(key) ?? null,
        setItem: (key, value) => void this.storage.set(key, value),
        removeItem: (key) => void this.storage.delete(key),
      },
      now: () => this.now,
    });
  }

  emit(name: string, event: unknown): void {
    for (const listener of this.#listeners.get(name) ?? []) listener(event as never);
  }
  subscribed(recovered: boolean, position = { epoch: "e", offset: 0 }): void {
    this.position = position;
    this.#enter("subscribed");
    this.emit("channel subscribed", { recovered, position });
  }
  lost(retryIn: number): void {
    this.#enter("subscribing");
    this.emit("client state", { state: "connecting", previous: "connected", reason: "lost", retryIn });
  }
  publication(entry: Entry, more: { own?: boolean; key?: string; offset?: number } = {}): void {
    const { own = false, key, offset = 0 } = more;
    if (this.position !== undefined) this.position = { ...this.position, offset };
    this.emit("channel publication", { data: entry, own, key, offset });
  }
  #enter(state: string): void {
    this.state = state;
    this.emit("channel state", { state });
  }
  #on(name: string, listener: Listener): () => void {
    this.#listeners.set(name, [...(this.#listeners.get(name) ?? []), listener]);
    return () => undefined;
  }
}

interface PromiseWithResolvers<Value> {
  readonly promise: Promise<Value>;
  readonly resolve: (value: Value) => void;
  readonly reject: (error: unknown) => void;
}
function deferred<Value>(): PromiseWithResolvers<Value> {
  let resolve!: (value: Value) => void;
  let reject!: (error: unknown) => void;
  const promise = new Promise<Value>((yes, no) => {
    resolve = yes;
    reject = no;
  });
  return { promise, resolve, reject };
}

const entry = (id: number): Entry => ({ id, name: "n", message: `m${id}`, time: id });
const page = (ids: number[], older = false, offset = 0): EntriesPage => ({
  entries: ids.map(entry),
  older,
  position: { epoch: "e", offset },
});
const ids = ({ entries }: Guestbook): number[] => entries.value.map(({ id }) => id);

/** A guestbook that has read `known` and is live. */
async function live(known: number[], older = false): Promise<{ stage: Stage; guestbook: Guestbook }> {
  const stage = new Stage();
  const guestbook = stage.guestbook();
  guestbook.start();
  stage.reads[0]?.answer.resolve(page(known, older, 5));
  await expect.poll(() => stage.subscribedFrom).toHaveLength(1);
  stage.subscribed(true, { epoch: "e", offset: 5 });
  return { stage, guestbook };
}

describe("reading", () => {
  test("subscribes from the position that came with the entries; what comes twice is shown once", async () => {
    const { stage, guestbook } = await live([3, 2, 1]);
    expect(stage.subscribedFrom).toEqual([{ epoch: "e", offset: 5 }]);
    stage.publication(entry(3), { offset: 6 });
    stage.publication(entry(4), { offset: 7 });
    expect(ids(guestbook)).toEqual([4, 3, 2, 1]);
    expect([...guestbook.fresh]).toEqual([4]);
    expect(stage.reads).toHaveLength(1);
  });

  test("without a position it subscribes first and reads again after", async () => {
    const stage = new Stage();
    const guestbook = stage.guestbook();
    guestbook.start();
    stage.reads[0]?.answer.resolve({ ...page([1]), position: null });
    await expect.poll(() => stage.subscribedFrom).toEqual([undefined]);
    stage.subscribed(false);
    expect(stage.reads).toHaveLength(2);
    stage.reads[1]?.answer.resolve(page([2, 1]));
    await expect.poll(() => ids(guestbook)).toEqual([2, 1]);
  });

  test("after a gap the newest page is read before what comes live is shown: no gap hides between them", async () => {
    const { stage, guestbook } = await live([3, 2]);
    stage.lost(10);
    stage.subscribed(false, { epoch: "f", offset: 0 });
    stage.publication(entry(60), { offset: 1 });
    expect(ids(guestbook)).toEqual([3, 2]);
    stage.reads[1]?.answer.resolve(page([59, 58, 57], true));
    await expect.poll(() => ids(guestbook)).toEqual([60, 59, 58, 57]);
    expect(guestbook.older.value).toBe("more");
  });

  test("what was written during the gap is shown as new", async () => {
    const { stage, guestbook } = await live([3, 2]);
    stage.subscribed(false, { epoch: "f", offset: 0 });
    stage.reads[1]?.answer.resolve(page([5, 4, 3]));
    await expect.poll(() => ids(guestbook)).toEqual([5, 4, 3, 2]);
    expect(guestbook.fresh).toEqual(new Set([4, 5]));
  });

  test("a publication that is no entry is left out", async () => {
    const { stage, guestbook } = await live([1]);
    for (const data of [undefined, "text", {}, { ...entry(2), name: 7 }]) stage.publication(data as unknown as Entry);
    expect(ids(guestbook)).toEqual([1]);
  });

  test("a recovered subscription reads nothing again", async () => {
    const { stage } = await live([1]);
    stage.lost(10);
    stage.subscribed(true, { epoch: "e", offset: 5 });
    expect(stage.reads).toHaveLength(1);
  });

  test("goes on trying while the entries cannot be read", async () => {
    const stage = new Stage();
    const guestbook = stage.guestbook();
    guestbook.start();
    stage.reads[0]?.answer.reject(new Error("503"));
    await expect.poll(() => guestbook.reading.value).toBe("failing");
    await expect.poll(() => stage.reads).toHaveLength(2);
    stage.reads[1]?.answer.resolve(page([1]));
    await expect.poll(() => guestbook.reading.value).toBe("done");
  });

  test("reads older pages on demand, and says when that failed", async () => {
    const { stage, guestbook } = await live([9, 8], true);
    const first = guestbook.readOlder();
    expect(stage.reads[1]?.before).toBe(8);
    stage.reads[1]?.answer.reject(new Error("503"));
    expect(await first).toEqual([]);
    expect(guestbook.older.value).toBe("failed");
    const second = guestbook.readOlder();
    stage.reads[2]?.answer.resolve(page([7, 6]));
    expect(await second).toEqual([entry(7), entry(6)]);
    expect([ids(guestbook), guestbook.older.value]).toEqual([[9, 8, 7, 6], "none"]);
    expect(guestbook.fresh.size).toBe(0);
  });
});

describe("connection", () => {
  test("is live only once subscribed, and says when the next attempt is", async () => {
    const stage = new Stage();
    const guestbook = stage.guestbook();
    expect(guestbook.connection.value).toEqual({ state: "connecting" });
    stage.subscribed(true);
    expect(guestbook.connection.value).toEqual({ state: "live", instance: "i1" });
    stage.lost(700);
    expect(guestbook.connection.value).toEqual({ state: "reconnecting", retryAt: stage.now + 700 });
    stage.emit("client state", { state: "connected", previous: "connecting", reason: "answered" });
    expect(guestbook.connection.value).toEqual({ state: "reconnecting" });
    stage.subscribed(true);
    expect(guestbook.connection.value.state).toBe("live");
  });

  test("has ended when the server sends the client away", () => {
    const stage = new Stage();
    const guestbook = stage.guestbook();
    stage.emit("client state", { state: "disconnected", previous: "connected", reason: "forbidden" });
    expect(guestbook.connection.value).toEqual({ state: "ended" });
  });
});

describe("writing", () => {
  const draft = { name: "Ada", message: "hi" };
  const states = (guestbook: Guestbook): string[] => guestbook.outbox.items.value.map(({ state }) => state);

  test("an entry is on its way until it comes back, whichever comes first: its answer or itself", async () => {
    const { stage, guestbook } = await live([]);
    guestbook.outbox.add(draft);
    guestbook.outbox.add(draft);
    const [one, two] = stage.published;
    expect(one?.key).toMatch(/^[0-9a-f]{32}$/);
    expect(one?.key).not.toBe(two?.key);
    one?.answer.resolve({ position: { epoch: "e", offset: 6 } });
    await expect.poll(() => states(guestbook)).toEqual(["stored", "sending"]);
    stage.publication(entry(1), { own: true, key: one?.key ?? "", offset: 6 });
    stage.publication(entry(2), { own: true, key: two?.key ?? "", offset: 7 });
    expect(states(guestbook)).toEqual([]);
    two?.answer.resolve({ position: { epoch: "e", offset: 7 } });
    await Promise.resolve();
    expect(states(guestbook)).toEqual([]);
    expect(guestbook.arrived.value).toEqual([]);
  });

  test("a repeat that was stored long ago is not waited for", async () => {
    const { stage, guestbook } = await live([]);
    guestbook.outbox.add(draft);
    stage.published[0]?.answer.resolve({ position: { epoch: "e", offset: 5 } });
    await expect.poll(() => states(guestbook)).toEqual([]);
  });

  test("too fast: it says how long to wait, and is sent again with the same key", async () => {
    const { stage, guestbook } = await live([]);
    guestbook.outbox.add(draft);
    stage.published[0]?.answer.reject({ code: "rateLimited", message: "", retryAfter: 7000 });
    await expect.poll(() => states(guestbook)).toEqual(["slowDown"]);
    const [item] = guestbook.outbox.items.value;
    expect(item?.sendableAt).toBe(stage.now + 7000);
    guestbook.outbox.again(item?.key ?? "");
    expect(states(guestbook)).toEqual(["sending"]);
    expect(stage.published[1]).toMatchObject({ data: draft, key: stage.published[0]?.key });
  });

  test("what the server refuses is said with its reason, and can be discarded", async () => {
    const { stage, guestbook } = await live([]);
    guestbook.outbox.add(draft);
    stage.published[0]?.answer.reject({ code: "rejected", message: "the name is empty", retryAfter: 0 });
    await expect.poll(() => states(guestbook)).toEqual(["refused"]);
    expect(guestbook.outbox.items.value[0]?.reason).toBe("the name is empty");
    guestbook.outbox.remove(guestbook.outbox.items.value[0]?.key ?? "");
    expect(states(guestbook)).toEqual([]);
  });

  test("what is not in the book yet survives a reload of the page, under its key", async () => {
    const { stage, guestbook } = await live([]);
    guestbook.outbox.add(draft);
    const again = new Stage();
    again.storage = stage.storage;
    again.guestbook().start();
    expect(again.published).toMatchObject([{ data: draft, key: stage.published[0]?.key }]);
    stage.publication(entry(1), { own: true, key: stage.published[0]?.key ?? "" });
    expect(stage.storage.size).toBe(0);
  });

  test.each(["nonsense", "{}", "null", "[null, 1, {}]"])("what else the storage holds (%s) is not sent", (text) => {
    const stage = new Stage();
    stage.storage.set("guestbook.outbox", text);
    stage.guestbook().start();
    expect(stage.published).toEqual([]);
  });
});
