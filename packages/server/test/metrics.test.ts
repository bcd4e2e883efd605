import { afterEach, describe, expect, test } from "vitest";
import { PacketClient } from "../../../test/service/packet-client.ts";
import { mergeMetrics } from "../src/metrics.ts";
import { startService, type Service } from "../src/service.ts";

const services: Service[] = [];
afterEach(async () => {
  await Promise.all(services.splice(0).map((service) => service.close()));
});

describe("/metrics", () => {
  test("counts what happens, by instance", async () => {
    const service = await startService({
      port: 0,
      logLevel: "silent",
      drainWindow: 0,
      metrics: true,
      instance: "web-1",
      channels: { a: { publish: "anyone" } },
    });
    services.push(service);
    const client = await PacketClient.open(service.url);
    await client.answer(1);
    await client.ask("subscribe", 2, "a", {});
    await client.ask("publish", 3, "a", {}, 1);
    await client.next(([word]) => word === "msg");
    const response = await fetch(`${service.url}/metrics`);
    expect(response.headers.get("content-type")).toMatch(/^text\/plain; version=0\.0\.4/);
    const text = await response.text();
    const value = (name: string): string | undefined =>
      new RegExp(`^${name}\\{instance="web-1"\\} (\\S+)$`, "m").exec(text)?.[1];
    expect(value("zuruf_connections")).toBe("1");
    expect(value("zuruf_backplane_up")).toBe("1");
    expect(value("zuruf_publications_published_total")).toBe("1");
    expect(value("zuruf_publications_delivered_total")).toBe("1");
    expect(value("zuruf_packets_received_total")).toBe("3");
    expect(text).toContain("# TYPE process_resident_memory_bytes gauge");
    client.close();
  });

  test("is off unless asked for", async () => {
    const service = await startService({ port: 0, logLevel: "silent" });
    services.push(service);
    expect((await fetch(`${service.url}/metrics`)).status).toBe(404);
    expect(await service.metrics()).toBe("");
  });
});

test("instances' texts are merged by name", () => {
  const one = (instance: string, n: number): string =>
    `# HELP a As.\n# TYPE a counter\na{instance="${instance}"} ${n}\n\n# HELP b Bs.\n# TYPE b gauge\nb{instance="${instance}"} ${n}\n`;
  expect(mergeMetrics([one("i1", 1), one("i2", 2)])).toBe(
    '# HELP a As.\n# TYPE a counter\na{instance="i1"} 1\na{instance="i2"} 2\n' +
      '# HELP b Bs.\n# TYPE b gauge\nb{instance="i1"} 1\nb{instance="i2"} 2\n',
  );
  expect(mergeMetrics([])).toBe("\n");
});
