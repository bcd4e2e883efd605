import { once } from "node:events";
import { createServer as createHttpServer } from "node:http";
import type { AddressInfo } from "node:net";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { PacketClient } from "../../../test/service/packet-client.ts";
import { createServer } from "../src/create-server.ts";
import type { Zuruf } from "../src/zuruf.ts";

/** More than two kernels and a queue hold for one connection: 32 KiB each. */
const count = 600;
const text = (n: number): string => `${n}`.padEnd(32_768, ".");
const number = (packet: readonly unknown[]): number => Number.parseInt(packet.at(-1) as string, 10);

const ends: (() => unknown)[] = [];
let zuruf: Zuruf;
let url: string;
beforeEach(async () => {
  const server = createHttpServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  zuruf = createServer({
    channels: {
      stream: { history: { size: 1000, ttl: "1h" } },
      latest: { delivery: "latest" },
      volatile: { delivery: "volatile" },
    },
  });
  zuruf.attach(server);
  await zuruf.start();
  url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  ends.push(
    () => server.close(),
    () => zuruf.close({ within: 0 }),
  );
});
afterEach(async () => {
  for (const end of ends.splice(0).toReversed()) await end();
});

async function subscriber(channel: string, options: object = {}): Promise<PacketClient> {
  const client = await PacketClient.open(url);
  ends.push(() => client.socket.terminate());
  await client.answer(1);
  expect((await client.ask("subscribe", 2, channel, options))[0]).toBe("subscribed");
  return client;
}
const publication = async (client: PacketClient): Promise<number> =>
  number(await client.next(([word]) => word === "msg"));

/** Publishes while the one does not read; the other has to get everything in order. */
async function publishAll(channel: string, slow: PacketClient): Promise<void> {
  const quick = await subscriber(channel);
  slow.socket.pause();
  for (let n = 1; n <= count; n++) {
    await zuruf.publish(channel, text(n));
    expect(await publication(quick)).toBe(n);
  }
}

describe("who does not read, over a real socket,", () => {
  test("stream: is closed with 4700, returns, and has everything, in order and once", async () => {
    const slow = await subscriber("stream");
    await publishAll("stream", slow);
    slow.socket.resume();
    expect(await slow.closed).toMatchObject({ code: 4700 });
    let last: unknown;
    let got = 0;
    for (;;) {
      const packet = await slow.next(([word]) => word === "msg").catch(() => undefined);
      if (packet === undefined) break;
      expect(number(packet)).toBe(++got);
      last = packet[2];
    }
    expect(got).toBeLessThan(count);
    const { epoch } = await zuruf.position("stream");
    const back = await subscriber("stream", { position: [epoch, last ?? 0] });
    while (got < count) expect(await publication(back)).toBe(++got);
    expect(zuruf.counters.slow).toBe(1);
  });

  test("latest: stays, and gets the newest when it reads again", async () => {
    const slow = await subscriber("latest");
    await publishAll("latest", slow);
    const { replaced, slow: closed } = zuruf.counters;
    expect(replaced).toBeGreaterThan(0);
    expect(closed).toBe(0);
    slow.socket.resume();
    let got = 0;
    let received = 0;
    while (got < count) {
      const next = await publication(slow);
      expect(next).toBeGreaterThan(got);
      got = next;
      received++;
    }
    expect(received + replaced).toBe(count);
  });

  test("volatile: stays, and has missed what came meanwhile", async () => {
    const slow = await subscriber("volatile");
    await publishAll("volatile", slow);
    const { dropped, slow: closed } = zuruf.counters;
    expect(dropped).toBeGreaterThan(0);
    expect(closed).toBe(0);
    slow.socket.resume();
    // In order without holes up to where it was full.
    for (let n = 1; n <= count - dropped; n++) expect(await publication(slow)).toBe(n);
    await slow.ask("ping", 3);
    await expect
      .poll(async () => {
        await zuruf.publish("volatile", text(count + 1));
        return zuruf.counters.dropped;
      })
      .toBe(dropped);
    expect(await publication(slow)).toBe(count + 1);
  });
});
