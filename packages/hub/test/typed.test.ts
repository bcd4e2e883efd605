import { expect, expectTypeOf, test } from "vitest";
import type { Hub } from "../src/index.ts";
import { World } from "./harness.ts";

interface ChatMessage {
  readonly text: string;
}
interface Map {
  "chat:*": ChatMessage;
  "chat:count": number;
  news: string;
}
interface Methods {
  double: (value: number) => number;
}

test("a channel map and a call map type publishing, history and handlers", async () => {
  const world = new World();
  const history = { size: 10, ttl: "1h" } as const;
  const hub = (await world.hub({ channels: { "*": { history } } })) as unknown as Hub<Map, Methods>;
  await hub.publish("chat:lobby", { text: "hi" });
  await hub.publish("chat:count", 1);
  // @ts-expect-error -- the data is another channel's
  await hub.publish("news", 5);
  // @ts-expect-error -- no pattern has this name
  await hub.publish("nope", 5);
  const page = await hub.history("chat:lobby");
  expectTypeOf(page.publications[0]?.data).toEqualTypeOf<ChatMessage | undefined>();
  expect(page.publications.map(({ data }) => data.text)).toEqual(["hi"]);
  hub.handle("double", ({ data }) => {
    expectTypeOf(data).toEqualTypeOf<number>();
    return data * 2;
  });
  // @ts-expect-error -- it must give a number
  hub.handle("double", () => "two");
  // @ts-expect-error -- no such method
  hub.handle("triple", () => 1);
  const untyped: Hub = await world.hub({ channels: { "*": { history } } });
  await untyped.publish("anything", { at: "all" });
  untyped.handle("any", () => undefined);
  await world.close();
});
