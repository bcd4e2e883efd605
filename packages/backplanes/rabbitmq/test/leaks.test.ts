import { expect, test } from "vitest";
import { expectNoLeak } from "../../../../test/brokers/leaks.ts";
import { Member } from "../../../../test/brokers/member.ts";
import { programs } from "../../../../test/services/programs.ts";
import { RabbitmqProcess } from "../../../../test/services/rabbitmq.ts";
import { rabbitmq } from "../src/index.ts";

const program = programs.rabbitmq.find();

// RabbitMQ takes seconds to start: with the other long tests.
test.skipIf(program === undefined || process.env["ZURUF_TEST_FULL"] === undefined)(
  "over 50 restarts of RabbitMQ nothing is left behind: descriptors, memory, connections, queues, bindings, exchanges",
  { timeout: 900_000 },
  async ({ onTestFinished }) => {
    const server = await RabbitmqProcess.start(program ?? "");
    onTestFinished(() => server.dispose());
    const member = await Member.start(rabbitmq(server.url), "a");
    onTestFinished(() => member.backplane.close());
    await member.backplane.subscribe(Array.from({ length: 200 }, (_, i) => `c${i}`));
    await expectNoLeak(server, member, 50, "SIGTERM", (text) => member.backplane.publish("c0", Buffer.from(text), {}));
    const list = async (what: string, column: string): Promise<string[]> =>
      (await server.control("-q", `list_${what}`, column, "--no-table-headers")).split("\n").filter(Boolean);
    const ours = async (): Promise<number> =>
      (await list("exchanges", "name")).filter((name) => name.startsWith("zuruf")).length;
    expect(await list("connections", "pid")).toHaveLength(2);
    expect(await list("queues", "name")).toHaveLength(1);
    expect(await ours()).toBe(1);
    // The partitions of 200 channels, two for control, the canary, and the default exchange's own.
    expect((await list("bindings", "routing_key")).length).toBeLessThanOrEqual(64 + 2 + 1 + 1);
    await member.backplane.close();
    while ((await list("queues", "name")).length + (await ours()) > 0)
      await new Promise((resolve) => setTimeout(resolve, 100));
  },
);
