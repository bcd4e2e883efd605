import { readFile } from "node:fs/promises";
import { createServer, type AddressInfo } from "node:net";
import { memoryBackplane } from "@zuruf/hub";
import { compose } from "@zuruf/compose";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { Member } from "../../../../test/brokers/member.ts";
import { refusals } from "../../../../test/brokers/refusal.ts";
import { run, ZurufProcess } from "../../../../test/service/zuruf-process.ts";
import { certificateIn } from "../../../../test/services/certificate.ts";
import { freePort, removeFolder, temporaryFolder } from "../../../../test/services/process.ts";
import { programs } from "../../../../test/services/programs.ts";
import { RabbitmqProcess } from "../../../../test/services/rabbitmq.ts";
import { rabbitmq } from "../src/index.ts";

const program = programs.rabbitmq.find();
const url = process.env["ZURUF_TEST_RABBITMQ_URL"];
const redisUrl = process.env["ZURUF_TEST_REDIS_URL"];

/** What both ways of starting say. */
const refused = (url: string): ReturnType<typeof refusals> => refusals(rabbitmq(url), url);
const said = (code: string, text: RegExp): object => ({ code, line: expect.stringMatching(text) as unknown });

describe.skipIf(url === undefined)("a RabbitMQ that cannot be used is one line", () => {
  test("a wrong password", async () => {
    const wrong = new URL(url ?? "");
    wrong.password = "secret-but-wrong";
    expect(await refused(wrong.href)).toEqual(
      said("unusable", /^RabbitMQ at .* refuses the user name or password: Login was refused/),
    );
  });
  test("no such virtual host", async () => {
    expect(await refused(`${url ?? ""}/none`)).toEqual(
      said("unusable", /^RabbitMQ at .*\/none refuses: vhost none not found$/),
    );
  });
  test("TLS where there is none", async () => {
    expect(await refused((url ?? "").replace("amqp:", "amqps:"))).toEqual(
      said("unusable", /^RabbitMQ at .* does not speak TLS at this port/),
    );
  });
  test("nobody there", async () => {
    expect(await refused(`amqp://u:secret@127.0.0.1:${await freePort()}`)).toEqual(
      said("unavailable", /cannot be reached: .*ECONNREFUSED/),
    );
  });

  test("channels with history need a store, and the line says how to name one", async () => {
    const channels = '{"chat:*":{"history":{"size":10,"ttl":"1h"}}}';
    const args = ["serve", "--port", "0", "--channels", channels, "--backplane"];
    const { code, stdout, stderr } = await run([...args, url ?? ""]);
    expect([code, stdout]).toEqual([1, ""]);
    expect(stderr).toMatch(/^zuruf: channel "chat:\*" wants history, .*give it a store, .*--backplane RELAY\+STORE\n$/);
    if (redisUrl === undefined) return;
    const zuruf = new ZurufProcess([...args, `${url ?? ""}+${redisUrl}`]);
    await zuruf.url();
    await zuruf.end();
  });
});

test("URLs and options that cannot be read", () => {
  expect(() => rabbitmq("redis://h")).toThrow(/must look like amqp:/);
  expect(() => rabbitmq("amqp://h", { partitions: 0 })).toThrow(/option partitions/);
});

test.each([
  ["something else", "HTTP/1.1 400 Bad Request\r\n\r\n", /cannot be reached: what answers is no RabbitMQ$/],
  ["silent", "", /cannot be reached: no answer within 3000 ms$/],
])("what answers is %s", async (_what, answer, line) => {
  const server = createServer((socket) => {
    socket.on("error", () => undefined);
    if (answer !== "") socket.end(answer);
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as AddressInfo;
  expect(await refused(`amqp://u:secret@127.0.0.1:${port}`)).toEqual(said("unavailable", line));
  server.close();
});

// A broker of its own takes seconds to start: with the other long tests.
describe.skipIf(program === undefined || process.env["ZURUF_TEST_FULL"] === undefined)(
  "a RabbitMQ with users and certificates",
  () => {
    let server: RabbitmqProcess;
    let folder: string;
    let certificate: { readonly key: string; readonly cert: string };
    let secured: number;
    beforeAll(async () => {
      folder = await temporaryFolder("tls");
      certificate = await certificateIn(folder);
      secured = await freePort();
      server = await RabbitmqProcess.start(program ?? "", [
        `listeners.ssl.default = 127.0.0.1:${secured}`,
        `ssl_options.certfile = ${certificate.cert}`,
        `ssl_options.keyfile = ${certificate.key}`,
        "ssl_options.verify = verify_none",
      ]);
    });
    afterAll(async () => {
      await server.dispose();
      await removeFolder(folder);
    });
    const as = (name: string): string => server.url.replace("guest:guest", `${name}:secret`);

    test(
      "rights: those that docs/backplanes.md lists suffice, and each that is missing is said",
      { timeout: 120_000 },
      async () => {
        await server.control("add_user", "ada", "secret");
        const denied =
          /^RabbitMQ at .* denies this user a right that Zuruf needs: access to .* refused for user 'ada'$/;
        expect(await refused(as("ada"))).toEqual(
          said("unusable", /^RabbitMQ at .* refuses: .*vhost.*refused for user 'ada'$/),
        );
        for (const [configure, write, read] of [
          ["^$", ".*", ".*"],
          ["^zuruf", "^$", ".*"],
          // To its queue, but not to the exchange.
          ["^zuruf", "^zuruf\\.", ".*"],
          ["^zuruf", "^zuruf", "^$"],
        ] as const) {
          await server.control("set_permissions", "ada", configure, write, read);
          expect(await refused(as("ada"))).toEqual(said("unusable", denied));
        }
        await server.control("set_permissions", "ada", "^zuruf", "^zuruf", "^zuruf");
        const member = await Member.start(rabbitmq(as("ada")), "a");
        await member.backplane.subscribe(["c"]);
        await member.backplane.publish("c", Buffer.from("1"), {});
        await member.until("delivery", () => member.texts("c").length === 1);
        await member.backplane.close();
      },
    );

    test(
      "TLS, with a certificate that nobody knows, and with its authority",
      { timeout: 60_000 },
      async ({ onTestFinished }) => {
        const to = `amqps://guest:guest@localhost:${secured}`;
        expect(await refused(to)).toEqual(
          said("unavailable", /^RabbitMQ at .* cannot be reached: .*self-signed certificate/),
        );
        expect(await refused(to.replace("amqps:", "amqp:"))).toEqual(
          said("unavailable", /^RabbitMQ at .* cannot be reached: .*$/),
        );
        const relay = rabbitmq(to, { tls: { ca: await readFile(certificate.cert, "utf8") } });
        const member = await Member.start(compose({ relay, store: memoryBackplane() }), "a");
        onTestFinished(() => member.backplane.close());
        await member.backplane.subscribe(["c"]);
        await member.publish("c", "1");
        await member.until("delivery", () => member.texts("c").length === 1);
        // On the command line, as for every Node program.
        const zuruf = new ZurufProcess(["serve", "--port", "0", "--backplane", to], {
          env: { NODE_EXTRA_CA_CERTS: certificate.cert },
        });
        onTestFinished(() => zuruf.end());
        await zuruf.url();
      },
    );
  },
);
