import { readFile } from "node:fs/promises";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { certificateIn } from "../../../../test/services/certificate.ts";
import { freePort, removeFolder, temporaryFolder } from "../../../../test/services/process.ts";
import { redis } from "../src/index.ts";
import { Member } from "../../../../test/brokers/member.ts";
import { RedisProcess, redisServer } from "../../../../test/services/redis.ts";

const startError = (url: string): Promise<unknown> => Member.start(redis(url), "a").catch((error: unknown) => error);

describe("what cannot be used is one line", () => {
  test.each([
    ["http://127.0.0.1", "must look like redis://host:6379"],
    ["redis://", "must look like redis://host:6379"],
    ["redis://host:99999", "names a host that cannot be read"],
    ["redis://a,b", "write redis+cluster:// or redis+sentinel://"],
    ["redis://host/db", "must name a database by its number"],
    ["redis+cluster://a,b/1", "must name a database by its number"],
    ["redis+sentinel://a,b", "must end with the name"],
    ["redis://u:%zz@host", "wrong percent-encoding"],
  ])("%s", (url, reason) => {
    expect(() => redis(url)).toThrow(
      expect.objectContaining({
        name: "BackplaneError",
        code: "unusable",
        message: expect.stringContaining(reason) as unknown,
      }),
    );
    expect(() => redis(url)).not.toThrow(/%zz|\n/);
  });

  test("options out of range", () => {
    expect(() => redis("redis://h", { prefix: "a{b" })).toThrow(/option prefix/);
    expect(() => redis("redis://h", { deadline: 1 })).toThrow(/option deadline/);
    expect(() => redis("redis://h", { keyWindow: 1 })).toThrow(/option keyWindow/);
  });

  test("nobody there", async () => {
    const port = await freePort();
    expect(await startError(`redis://127.0.0.1:${port}`)).toMatchObject({
      code: "unavailable",
      message: `Redis at 127.0.0.1:${port} cannot be reached: nothing listens there`,
    });
  });
});

describe.skipIf(redisServer === undefined)("users and rights", () => {
  let server: RedisProcess;
  beforeAll(async () => {
    server = await RedisProcess.start("none");
    await server.command("ACL SETUSER zuruf on >secret ~zuruf:* &zuruf:* +@all -@admin -@dangerous +info", "+OK");
    await server.command("ACL SETUSER noscripts on >secret ~zuruf:* &zuruf:* +@all -eval -evalsha", "+OK");
    await server.command("ACL SETUSER nostreams on >secret ~zuruf:* &zuruf:* +@all -@stream", "+OK");
    await server.command("ACL SETUSER elsewhere on >secret ~other:* &other:* +@all", "+OK");
  });
  afterAll(() => server.dispose());
  const as = (user: string, secret = "secret"): string => `redis://${user}:${secret}@127.0.0.1:${server.port}`;

  test("a user with just the rights that docs/backplanes.md lists", async () => {
    const member = await Member.start(redis(as("zuruf")), "a");
    await member.backplane.subscribe(["c"]);
    await member.publish("c", "1", "key");
    await member.backplane.control(Buffer.from("x"), "b");
    await member.until("delivery", () => member.items.length === 1);
    expect(member.texts("c")).toEqual(["1"]);
    await member.backplane.close();
  });

  test("a wrong password", async () => {
    const error = await startError(as("zuruf", "wrong"));
    expect(error).toMatchObject({
      code: "unusable",
      message: expect.stringContaining("refuses the user name or password") as unknown,
    });
    expect(String(error)).not.toContain("wrong:");
  });

  test.each(["noscripts", "nostreams", "elsewhere"])("a right is missing: %s", async (user) => {
    const error = await startError(as(user));
    expect(error).toMatchObject({
      code: "unusable",
      message: expect.stringMatching(/^Redis at 127.* denies this user a right.*$/) as unknown,
    });
  });
});

describe.skipIf(redisServer === undefined)("TLS", () => {
  test("rediss with a certificate of one's own; without its authority it is refused in one line", async ({
    onTestFinished,
  }) => {
    const folder = await temporaryFolder("tls");
    onTestFinished(() => removeFolder(folder));
    const { key, cert } = await certificateIn(folder);
    const port = await freePort();
    const files = ["--tls-cert-file", cert, "--tls-key-file", key, "--tls-ca-cert-file", cert];
    const server = await RedisProcess.start("none", ["--tls-port", `${port}`, "--tls-auth-clients", "no", ...files]);
    onTestFinished(() => server.dispose());
    const url = `rediss://localhost:${port}`;
    const error = await startError(url);
    expect(error).toMatchObject({
      code: "unavailable",
      message: expect.stringMatching(/^Redis at localhost:.*self-signed certificate/) as unknown,
    });
    const member = await Member.start(redis(url, { tls: { ca: await readFile(cert, "utf8") } }), "a");
    onTestFinished(() => member.backplane.close());
    await member.backplane.subscribe(["c"]);
    expect(await member.publish("c", "1")).toMatchObject({ offset: 1 });
    await member.until("delivery", () => member.texts("c").length === 1);
  });
});
