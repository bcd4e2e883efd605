import { afterEach, beforeEach, expect, test } from "vitest";
import { memoryBackplane, type BackplaneSink } from "../src/index.ts";
import { encodeControl, type ControlMessage } from "../src/control-message.ts";
import { settle, World } from "./harness.ts";

let world: World;
beforeEach(() => {
  world = new World();
});
afterEach(async () => {
  await world.close();
});

const sink: BackplaneSink = {
  publication: () => undefined,
  control: () => undefined,
  up: () => undefined,
  down: () => undefined,
  suspect: () => undefined,
};

test("members of an instance that gives no sign of life are not believed, and malformed messages harm nobody", async () => {
  const hub = await world.hub({ channels: { room: { presence: true } } });
  const stranger = memoryBackplane(world.broker);
  await stranger.start("stranger", sink);
  await world.clock.advance(1000);
  await hub.presence("room");
  const say = async (message: ControlMessage): Promise<void> => {
    await stranger.control(encodeControl(message));
    await settle();
  };
  const ghost: ControlMessage = {
    type: "change",
    channel: "room",
    previous: 0,
    version: 1,
    set: { client: "ghost", since: 1 },
  };
  await say(ghost);
  expect(await hub.presence("room")).toMatchObject({ members: 0, stale: false });
  for (const bytes of [[], [0, 0, 0, 9, 1], [255, 255, 255, 255], [0, 0, 0, 2, 123, 125]])
    await stranger.control(Uint8Array.from(bytes));
  await stranger.control(encodeControl({ type: "constructor" } as never));
  await say({ type: "beat", incarnation: "one" });
  await say(ghost);
  await say({
    type: "state",
    channels: [{ channel: "room", version: 1, entries: [{ client: "ghost", since: 1 }] }],
  });
  expect(await hub.presence("room")).toMatchObject({ members: 1 });
  // Another life of it knows nothing of the ghost, which had a while to come back.
  await say({ type: "beat", incarnation: "two" });
  expect(await hub.presence("room", { limit: 0 })).toMatchObject({ members: 1 });
  await world.clock.advance(5000);
  expect(await hub.presence("room", { limit: 0 })).toMatchObject({ members: 0 });
  await stranger.close();
});
