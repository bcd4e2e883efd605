import { readFile, writeFile } from "node:fs/promises";
import { createServer, type AddressInfo } from "node:net";
import { join } from "node:path";
import { nkeys } from "@nats-io/transport-node";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { Member } from "../../../../test/brokers/member.ts";
import { refusal, refusals } from "../../../../test/brokers/refusal.ts";
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

/** What both ways of starting say. */
const refused = (url: string): ReturnType<typeof refusals> => refusals(nats(url), url);
const said = (code: string, text: RegExp): object => ({ code, line: expect.stringMatching(text) as unknown });
/** All that an instance needs of a broker; returns what it heard. */
async function works(url: string, options?: NatsOptions): Promise<string[]> {
  const member = await Member.start(nats(url, options), "a");
  await member.backplane.subscribe(["c"]);
  await member.publish("c", "1", "key");
  await member.backplane.heads(["c", "d"]);
  await member.backplane.control(Buffer.from("x"), "b");
  await member.until("delivery", () => member.texts("c").length === 1);
  const { items } = await member.backplane.history("c", { limit: 2 });
  await member.backplane.close();
  return items.map(({ data }) => Buffer.from(data).toString());
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

  test("a user with just the rights that docs/backplanes.md lists", async () => {
    expect(await works(as("full"))).toEqual(["1"]);
  });
  test("a wrong password, and none", async () => {
    const line = /^NATS at localhost:\d+ refuses the user name, password or token: .*$/;
    expect(await refused(as("full", "secret-but-wrong"))).toEqual(said("unusable", line));
    expect(await refused(`nats://${server.at}`)).toEqual(said("unusable", line));
  });
  test.each([
    ["deaf", /denies this user a right that Zuruf needs: .*subscription to "zuruf\..*$/i],
    ["dumb", /denies this user a right that Zuruf needs: .*publish to "zuruf\..*$/i],
    ["storeless", /denies this user a right that Zuruf needs: .*publish to "\$JS\.API\.INFO".*$/i],
    ["unread", /denies this user a right that Zuruf needs: .*publish to "\$JS\.API\.CONSUMER\.CREATE.*$/i],
  ])("a right is missing: %s", async (name, line) => {
    expect(await refused(as(name))).toEqual(said("unusable", line));
  });
});

describe.skipIf(program === undefined)("a NATS server", () => {
  test("that knows one token", async ({ onTestFinished }) => {
    const server = await start(
      (folder) => `jetstream { store_dir: ${JSON.stringify(join(folder, "data"))} }
authorization { token: "secret" }`,
    );
    onTestFinished(() => server.stop());
    expect(await works(`nats://secret@${server.at}`)).toEqual(["1"]);
    expect(await works(`nats://${server.at}`, { token: "secret", prefix: "other" })).toEqual(["1"]);
    expect(await refused(`nats://secret-but-wrong@${server.at}`)).toEqual(
      said("unusable", /refuses the user name, password or token/),
    );
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
    expect(await works(url, { credentials: seed })).toEqual(["1"]);
    const file = (seed: string): string => `-----BEGIN NATS USER JWT-----
e30.e30.e30
------END NATS USER JWT------

-----BEGIN USER NKEY SEED-----
${seed}
------END USER NKEY SEED------
`;
    expect(await works(url, { credentials: file(seed), prefix: "other" })).toEqual(["1"]);
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
      expect(await refused(`${scheme}://${server.at}`)).toEqual(
        said("unavailable", /^NATS at .*cannot be reached: .*self-signed certificate.*$/),
      );
    expect(await works(`tls://${server.at}`, { tls: { ca: await readFile(cert, "utf8") } })).toEqual(["1"]);
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
    expect(await refused(`tls://${server.at}`)).toEqual(
      said("unusable", /^NATS at .* does not speak TLS: write nats:\/\/ for it$/),
    );
  });

  test("without JetStream, or without it for this account", async ({ onTestFinished }) => {
    const off = await start(() => "");
    onTestFinished(() => off.stop());
    const line = /^NATS at .*: JetStream is off: start the server with -js, or keep history elsewhere: .*$/;
    expect(await refused(`nats://${off.at}`)).toEqual(said("unusable", line));
    const notHere = await start(
      (folder) => `jetstream { store_dir: ${JSON.stringify(join(folder, "data"))} }
accounts { A { users: [ { user: ada, password: secret } ] }, B { jetstream: enabled } }`,
    );
    onTestFinished(() => notHere.stop());
    expect(await refused(`nats://ada:secret@${notHere.at}`)).toEqual(said("unusable", line));
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
  expect(await refused(`nats://ada:secret@127.0.0.1:${port}`)).toEqual(said(code, line));
  server.close();
});
