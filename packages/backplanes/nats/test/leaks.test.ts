import { connect } from "@nats-io/transport-node";
import { expect, test } from "vitest";
import { expectNoLeak } from "../../../../test/brokers/leaks.ts";
import { Member } from "../../../../test/brokers/member.ts";
import { NatsProcess } from "../../../../test/services/nats.ts";
import { freePort } from "../../../../test/services/process.ts";
import { programs } from "../../../../test/services/programs.ts";
import { nats } from "../src/index.ts";

const program = programs.nats.find();

// A minute of restarts: with the other long tests.
test.skipIf(program === undefined || process.env["ZURUF_TEST_FULL"] === undefined)(
  "over 50 restarts of NATS nothing is left behind: descriptors, memory, connections, subscriptions, readers, streams",
  { timeout: 300_000 },
  async ({ onTestFinished }) => {
    const monitor = await freePort();
    const server = await NatsProcess.start(program ?? "", ["-m", `${monitor}`]);
    onTestFinished(() => server.dispose());
    const look = async <T>(what: string): Promise<T> =>
      (await (await fetch(`http://127.0.0.1:${monitor}/${what}`)).json()) as T;
    const member = await Member.start(nats(server.url), "a");
    onTestFinished(() => member.backplane.close());
    await member.backplane.subscribe(Array.from({ length: 200 }, (_, i) => `c${i}`));
    const first = await member.publish("c0", "0");
    const held = async (): Promise<object> => {
      const { connections } = await look<{ connections: { subscriptions: number }[] }>("connz");
      const { streams, consumers } = await look<{ streams: number; consumers: number }>("jsz");
      return { subscriptions: connections.map(({ subscriptions }) => subscriptions), streams, consumers };
    };
    // A reader is deleted without waiting for the answer.
    await expect.poll(held).toMatchObject({ consumers: 0 });
    const before = await held();
    await expectNoLeak(server, member, 50, "SIGTERM", (text) => member.publish("c0", text));
    await expect.poll(held).toEqual(before);
    // Every restart added a link to the chain, and every position is still good.
    expect(await member.after("c0", first?.epoch ?? "", first?.offset ?? 0)).toHaveLength(50);
    await member.backplane.close();
    await expect.poll(held).toEqual({ subscriptions: [], streams: 1, consumers: 0 });
    const connection = await connect({ servers: `127.0.0.1:${server.port}` });
    const names = await connection.request("$JS.API.STREAM.NAMES");
    expect(names.json()).toMatchObject({ streams: ["zuruf"] });
    await connection.close();
  },
);
