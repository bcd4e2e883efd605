import { once } from "node:events";
import { connect, createServer, type AddressInfo, type Socket } from "node:net";
import { describe, expect, onTestFinished, test } from "vitest";
import { Deadlines } from "../src/store/index.ts";

function standStill(ms: number): void {
  const end = performance.now() + ms;
  while (performance.now() < end);
}

/** A connection, and who answers on it: what is written lies with the operating system until this process reads it. */
async function connection(): Promise<{ readonly asking: Socket; readonly answering: Socket }> {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const asking = connect((server.address() as AddressInfo).port, "127.0.0.1");
  const [[answering]] = (await Promise.all([once(server, "connection"), once(asking, "connect")])) as [
    [Socket],
    unknown,
  ];
  onTestFinished(() => {
    asking.destroy();
    answering.destroy();
    server.close();
  });
  return { asking, answering };
}

describe("a deadline", () => {
  test("rejects what takes too long, and is over when it says so", async () => {
    const deadlines = new Deadlines(50);
    const begin = performance.now();
    await expect(deadlines.limit(new Promise(() => {}), () => new Error("late"))).rejects.toThrow("late");
    expect(performance.now() - begin).toBeGreaterThanOrEqual(49);
    await expect(deadlines.limit(Promise.resolve(1), () => new Error("late"))).resolves.toBe(1);
    deadlines.close();
  });

  // Until just after the end, and for long.
  test.each([70, 300])("does not reject what came while the process itself stood still for %d ms", async (ms) => {
    const { asking, answering } = await connection();
    const deadlines = new Deadlines(50);
    onTestFinished(() => deadlines.close());
    const answer = deadlines.limit(once(asking, "data"), () => new Error("late"));
    const never = deadlines.limit(new Promise(() => {}), () => new Error("late"));
    answering.write("answer");
    standStill(ms);
    await expect(answer).resolves.toEqual([Buffer.from("answer")]);
    await expect(never).rejects.toThrow("late");
  });

  test("what is deleted in time does not expire, the others do", async () => {
    const deadlines = new Deadlines(50);
    const expired: string[] = [];
    const expiring = (name: string): { expire: () => void } => ({ expire: () => expired.push(name) });
    const [settled, late] = [expiring("settled"), expiring("late")];
    deadlines.add(settled);
    deadlines.add(late);
    deadlines.delete(settled);
    await expect.poll(() => expired).toEqual(["late"]);
    deadlines.close();
  });
});
