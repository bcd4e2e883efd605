import { describe, expectTypeOf, test } from "vitest";
import { type Channel, createClient, type Publication } from "../src/index.ts";
import { ScriptedServer } from "./scripted-server.ts";

interface Chat {
  readonly text: string;
}
// oxlint-disable-next-line typescript/consistent-type-definitions -- a map may be an interface as well as a type
type Channels = { guestbook: { name: string }; "chat:*": Chat; "game:*:moves": Uint8Array };
interface Remote {
  add(data: readonly number[]): number;
  find(data: string): Promise<Chat>;
  now(): number;
  log(data?: string): void;
}
interface Local {
  ask(data: string): boolean;
}

const { options } = new ScriptedServer();

describe("types", () => {
  test("a channel map types data by name and by pattern", () => {
    const client = createClient<Channels>("ws://host", options);
    expectTypeOf(client.channel("guestbook")).toEqualTypeOf<Channel<{ name: string }>>();
    expectTypeOf(client.channel("chat:lobby")).toEqualTypeOf<Channel<Chat>>();
    expectTypeOf(client.channel("game:7:moves")).toEqualTypeOf<Channel<Uint8Array>>();
    expectTypeOf<Parameters<Channel<Chat>["publish"]>[0]>().toEqualTypeOf<Chat>();
    client.channel("chat:lobby").on("publication", ({ data }) => expectTypeOf(data).toEqualTypeOf<Chat>());
    // @ts-expect-error -- the map knows no such channel
    client.channel("chit:lobby");
    const wrong = (): unknown =>
      // @ts-expect-error -- not what this channel carries
      client.channel("chat:lobby").publish({ name: "x" });
    void wrong;
    // The escape for names that are data.
    expectTypeOf(client.channel<number>("anything")).toEqualTypeOf<Channel<number>>();
  });

  test("without a map", () => {
    const client = createClient("ws://host", options);
    expectTypeOf(client.channel("anything")).toEqualTypeOf<Channel>();
    expectTypeOf(client.channel<Chat>("anything")).toEqualTypeOf<Channel<Chat>>();
    const read = async (): Promise<void> => {
      for await (const one of client.channel<Chat>("x")) expectTypeOf(one).toEqualTypeOf<Publication<Chat>>();
    };
    void read;
    const call = (): unknown => expectTypeOf(client.call("anything", 1)).toEqualTypeOf<Promise<unknown>>();
    void call;
  });

  test("call maps, both ways", () => {
    const client = createClient<Channels, Remote, Local>("ws://host", options);
    const call = (): unknown => [
      expectTypeOf(client.call("add", [1])).toEqualTypeOf<Promise<number>>(),
      expectTypeOf(client.call("find", "x")).toEqualTypeOf<Promise<Chat>>(),
      // @ts-expect-error -- there is no such method
      client.call("ask", "x"),
      // @ts-expect-error -- it takes numbers
      client.call("add", ["1"]),
      // @ts-expect-error -- it takes something
      client.call("add"),
      expectTypeOf(client.call("now")).toEqualTypeOf<Promise<number>>(),
      expectTypeOf(client.call("log", undefined, { timeout: 1000 })).toEqualTypeOf<Promise<void>>(),
    ];
    void call;
    client.handle("ask", (data) => {
      expectTypeOf(data).toEqualTypeOf<string>();
      return true;
    });
    // @ts-expect-error -- it returns a boolean
    client.handle("ask", () => 1);
  });
});
