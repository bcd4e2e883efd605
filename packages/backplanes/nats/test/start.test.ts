import { readFile, writeFile } from "node:fs/promises";
import { createServer, type AddressInfo } from "node:net";
import { join } from "node:path";
import { nkeys } from "@nats-io/transport-node";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { Member } from "../../../../test/brokers/member.ts";
import { refusal, serviceRefusal } from "../../../../test/brokers/refusal.ts";
import { ZurufProcess } from "../../../../test/service/zuruf-process.ts";
import { certificateIn } from "../../../../test/services/certificate.ts";
import {
  freePort,
  probeTcp,
  removeFolder,
  startProcess,
  temporaryFolder,
  untilReady,
} from "../../../../test/services/process.ts";
import { programs } from "../../../../test/services/programs.ts";
import { nats, type NatsOptions } from "../src/index.ts";

const program = programs.nats.find();

interface Server {
  readonly at: string;
  readonly folder: string;
  stop(): Promise<void>;
}
/** A server with this in its configuration. */
async function start(configuration: (folder: string) => string): Promise<Server> {
  const [port, folder] = [await freePort(), await temporaryFolder("nats")];
  const file = join(folder, "nats.conf");
  await writeFile(file, configuration(folder));
  const server = startProcess(program ?? "", ["-a", "127.0.0.1", "-p", `${port}`, "-c", file]);
  const stop = async (): Promise<void> => {
    await server.stop("SIGKILL");
    await removeFolder(folder);
  };
  try {
    await untilReady(server, () => probeTcp(port, "", "INFO"), 10_000);
  } catch (error) {
    await stop();
    throw error;
  }
  return { at: `localhost:${port}`, folder, stop };
}

/** Both ways of starting say this one line. */
async function expectRefusal(url: string, code: string, line: RegExp): Promise<void> {
  const [said, served] = await Promise.all([refusal(nats(url)), serviceRefusal(url)]);
  expect(said).toEqual({ code, line: expect.stringMatching(line) as unknown });
  // What is random in the names of subjects is another's.
  const named = (text: string): string => text.replaceAll(/[0-9a-f]{16}/g, "…");
  expect(named(served)).toBe(named(said.line));
  expect(served).not.toContain("secret");
}
async function expectWorks(url: string, options?: NatsOptions): Promise<void> {
  const member = await Member.start(nats(url, options), "a");
  await member.backplane.subscribe(["c"]);
  await member.publish("c", "1", "key");
  await member.backplane.heads(["c", "d"]);
  await member.backplane.control(Buffer.from("x"), "b");
  await member.until("delivery", () => member.texts("c").length === 1);
  const { items } = await member.backplane.history("c", { limit: 2 });
  expect(items).toHaveLength(1);
  await member.backplane.close();
}

/** The rights that docs/backplanes.md lists. */
const publish = [
  "zuruf.>",
  "$JS.API.INFO",
  ...["CREATE", "INFO", "UPDATE", "PURGE", "MSG.GET"].map((what) => `$JS.API.STREAM.${what}.zuruf`),
  "$JS.API.DIRECT.GET.zuruf",
  "$JS.API.CONSUMER.CREATE.zuruf",
  "$JS.API.CONSUMER.MSG.NEXT.zuruf.*",
  "$JS.API.CONSUMER.DELETE.zuruf.*",
];
const user = (name: string, may: readonly string[], hear: readonly string[]): string =>
  `{ user: ${name}, password: secret, permissions: { publish: ${JSON.stringify(may)}, subscribe: ${JSON.stringify(hear)} } }`;

describe.skipIf(program === undefined)("a NATS server that lets in whom it knows", () => {
  let server: Server;
  beforeAll(async () => {
    const users = [
      user("full", publish, ["zuruf.>"]),
      user("deaf", publish, ["other.>"]),
      user("dumb", ["other.>", "$JS.API.>"], ["zuruf.>"]),
      user("storeless", ["zuruf.>"], ["zuruf.>"]),
      user(
        "unread",
        publish.filter((right) => !right.includes("CONSUMER.CREATE")),
        ["zuruf.>"],
      ),
    ];
    server = await start(
      (folder) => `jetstream { store_dir: ${JSON.stringify(join(folder, "data"))} }
authorization { users: [ ${users.join(", ")} ] }`,
    );
  });
  afterAll(() => server.stop());
  const as = (name: string, secret = "secret"): string => `nats://${name}:${secret}@${server.at}`;

  test("a user with just the rights that docs/backplanes.md lists", () => expectWorks(as("full")));
  test("a wrong password, and none", async () => {
    const line = /^NATS at localhost:\d+ refuses the user name, password or token: .*$/;
    await expectRefusal(as("full", "secret-but-wrong"), "unusable", line);
    await expectRefusal(`nats://${server.at}`, "unusable", line);
  });
  test.each([
    ["deaf", /denies this user a right that Zuruf needs: .*subscription to "zuruf\..*$/i],
    ["dumb", /denies this user a right that Zuruf needs: .*publish to "zuruf\..*$/i],
    ["storeless", /denies this user a right that Zuruf needs: .*publish to "\$JS\.API\.INFO".*$/i],
    ["unread", /denies this user a right that Zuruf needs: .*publish to "\$JS\.API\.CONSUMER\.CREATE.*$/i],
  ])("a right is missing: %s", (name, line) => expectRefusal(as(name), "unusable", line));
});

describe.skipIf(program === undefined)("a NATS server", () => {
  test("that knows one token", async ({ onTestFinished }) => {
    const server = await start(
      (folder) => `jetstream { store_dir: ${JSON.stringify(join(folder, "data"))} }
authorization { token: "secret" }`,
    );
    onTestFinished(() => server.stop());
    await expectWorks(`nats://secret@${server.at}`);
    await expectWorks(`nats://${server.at}`, { token: "secret", prefix: "other" });
    await expectRefusal(`nats://secret-but-wrong@${server.at}`, "unusable", /refuses the user name, password or token/);
  });

  test("that knows an nkey, alone or in a file of credentials", async ({ onTestFinished }) => {
    const [known, unknown] = [nkeys.createUser(), nkeys.createUser()];
    const server = await start(
      (folder) => `jetstream { store_dir: ${JSON.stringify(join(folder, "data"))} }
authorization { users: [ { nkey: ${known.getPublicKey()} } ] }`,
    );
    onTestFinished(() => server.stop());
    const url = `nats://${server.at}`;
    const seed = Buffer.from(known.getSeed()).toString();
    await expectWorks(url, { credentials: seed });
    const file = (seed: string): string => `-----BEGIN NATS USER JWT-----
e30.e30.e30
------END NATS USER JWT------

-----BEGIN USER NKEY SEED-----
${seed}
------END USER NKEY SEED------
`;
    await expectWorks(url, { credentials: file(seed), prefix: "other" });
    const credentials = Buffer.from(unknown.getSeed()).toString();
    expect(await refusal(nats(url, { credentials }))).toMatchObject({ code: "unusable" });
    expect(await refusal(nats(url, { credentials: "no such thing" }))).toMatchObject({
      code: "unusable",
      line: expect.stringContaining("credentials") as unknown,
    });
  });

  test("with TLS, and a certificate that nobody knows", async ({ onTestFinished }) => {
    const folder = await temporaryFolder("tls");
    onTestFinished(() => removeFolder(folder));
    const { key, cert } = await certificateIn(folder);
    const server = await start(
      (data) => `jetstream { store_dir: ${JSON.stringify(join(data, "data"))} }
tls { cert_file: ${JSON.stringify(cert)}, key_file: ${JSON.stringify(key)} }`,
    );
    onTestFinished(() => server.stop());
    for (const scheme of ["tls", "nats"])
      await expectRefusal(
        `${scheme}://${server.at}`,
        "unavailable",
        /^NATS at .*cannot be reached: .*self-signed certificate.*$/,
      );
    await expectWorks(`tls://${server.at}`, { tls: { ca: await readFile(cert, "utf8") } });
    // On the command line, as for every Node program.
    const zuruf = new ZurufProcess(["serve", "--port", "0", "--backplane", `tls://${server.at}`], {
      env: { NODE_EXTRA_CA_CERTS: cert },
    });
    onTestFinished(() => zuruf.end());
    await zuruf.url();
  });

  test("without TLS, where it is asked for", async ({ onTestFinished }) => {
    const server = await start(() => "");
    onTestFinished(() => server.stop());
    await expectRefusal(`tls://${server.at}`, "unusable", /^NATS at .* does not speak TLS: write nats:\/\/ for it$/);
  });

  test("without JetStream, or without it for this account", async ({ onTestFinished }) => {
    const off = await start(() => "");
    onTestFinished(() => off.stop());
    const line = /^NATS at .*: JetStream is off: start the server with -js, or keep history elsewhere: .*$/;
    await expectRefusal(`nats://${off.at}`, "unusable", line);
    const notHere = await start(
      (folder) => `jetstream { store_dir: ${JSON.stringify(join(folder, "data"))} }
accounts { A { users: [ { user: ada, password: secret } ] }, B { jetstream: enabled } }`,
    );
    onTestFinished(() => notHere.stop());
    await expectRefusal(`nats://ada:secret@${notHere.at}`, "unusable", line);
  });
});

test.each([
  [
    "too old",
    'INFO {"server_id":"N","version":"2.8.4","max_payload":1048576,"headers":true}\r\n',
    "unusable",
    /is version 2\.8\.4: 2\.9 or newer is needed$/,
  ],
  ["something else", "HTTP/1.1 400 Bad Request\r\n\r\n", "unavailable", /cannot be reached: .*$/],
  ["silent", "", "unavailable", /cannot be reached: .*$/],
])("what answers is %s", async (_what, greeting, code, line) => {
  const server = createServer((socket) => {
    socket.on("error", () => undefined);
    if (greeting !== "") socket.write(greeting);
    socket.on("data", (data) => {
      if (greeting.startsWith("INFO") && data.includes("PING")) socket.write("PONG\r\n");
    });
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as AddressInfo;
  await expectRefusal(`nats://ada:secret@127.0.0.1:${port}`, code, line);
  server.close();
});
