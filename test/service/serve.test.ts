import { spawnSync } from "node:child_process";
import { once } from "node:events";
import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createServer, type AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, afterEach, describe, expect, test } from "vitest";
import { WebSocket } from "ws";
import { PacketClient, upgradeStatus } from "./packet-client.ts";
import { run, ZurufProcess } from "./zuruf-process.ts";

const folder = mkdtempSync(join(tmpdir(), "zuruf-serve-"));
afterAll(() => rmSync(folder, { recursive: true }));
const processes: ZurufProcess[] = [];
afterEach(async () => {
  await Promise.all(processes.splice(0).map((zuruf) => zuruf.end()));
});

function serve(...args: string[]): ZurufProcess {
  const zuruf = new ZurufProcess(["serve", "--port", "0", ...args], { cwd: folder });
  processes.push(zuruf);
  return zuruf;
}
function file(name: string, content: string): string {
  const path = join(folder, name);
  writeFileSync(path, content);
  return path;
}

describe("zuruf", () => {
  test("--version prints the package's", async () => {
    const { version } = JSON.parse(
      readFileSync(join(import.meta.dirname, "../../packages/cli/package.json"), "utf8"),
    ) as { version: string };
    expect(await run(["--version"])).toMatchObject({ code: 0, stdout: `${version}\n`, stderr: "" });
  });
  test("serve --help lists the options", async () => {
    const { code, stdout, stderr } = await run(["serve", "--help"]);
    expect([code, stderr]).toEqual([0, ""]);
    expect(stdout).toMatch(/^ {2}--port N +port to listen on; 0: any free one \(8080\)$/m);
  });
  test("an unknown command is named", async () => {
    expect(await run(["sevre"])).toMatchObject({
      code: 1,
      stdout: "",
      stderr: 'zuruf: unknown command "sevre"; see zuruf --help\n',
    });
  });
  test("without a command it says what there is", async () => {
    expect(await run([])).toMatchObject({ code: 1, stdout: "", stderr: expect.stringContaining("serve") });
  });
  test("in a checkout that is not built, it says how", () => {
    const bin = join(folder, "bin");
    cpSync(join(import.meta.dirname, "../../packages/cli/bin"), bin, { recursive: true });
    writeFileSync(join(bin, "package.json"), '{ "type": "module" }');
    const { status, stderr } = spawnSync(process.execPath, [join(bin, "zuruf.js"), "serve"], { encoding: "utf8" });
    expect(status).toBe(1);
    expect(stderr).toMatch(/^zuruf: not installed, or not built: npm ci in the checkout does both \(.*main\.js.*\)\n$/);
  });
});

describe("a start that is refused is one line and exit code 1", () => {
  const refusal = async (args: string[], env: Record<string, string> = {}): Promise<string> => {
    const { code, stdout, stderr } = await run(["serve", ...args], { cwd: folder, env });
    const [, line] = /^zuruf: ([^\n]+)\n$/.exec(stderr) ?? [];
    if (code !== 1 || stdout !== "" || line === undefined) throw new Error(`no refusal: ${code} ${stdout} ${stderr}`);
    return line;
  };

  test("an unknown flag, variable and key, and a bad value", async () => {
    expect(await refusal(["--prot", "1"])).toBe("--prot: unknown option; did you mean --port?");
    expect(await refusal([], { ZURUF_PROT: "1" })).toBe("ZURUF_PROT: unknown variable; did you mean ZURUF_PORT?");
    file("bad.json", '{"prot":1}');
    expect(await refusal(["--config", "bad.json"])).toBe("bad.json: prot: unknown key; did you mean port?");
    expect(await refusal(["--port", "http"])).toBe('--port: expected an integer from 0 to 65535, got "http"');
  });
  test("a port in use", async () => {
    const other = createServer().listen(0, "127.0.0.1");
    await once(other, "listening");
    const { port } = other.address() as AddressInfo;
    expect(await refusal(["--port", String(port)])).toBe(
      `127.0.0.1:${port} is in use; stop what listens there, or choose another with --port`,
    );
    other.close();
  });
  test("several instances on the memory backplane", async () => {
    expect(await refusal(["--instances", "3"])).toBe(
      "--instances 3 needs a broker, because the memory backplane connects nothing outside its own process; add --backplane redis://127.0.0.1:6379, or leave --instances out",
    );
  });
  test("a Redis that cannot be reached, without its password", async () => {
    for (const instances of ["1", "2"])
      expect(
        await refusal(["--port", "0", "--instances", instances, "--backplane", "redis://ada:secret@127.0.0.1:1"]),
      ).toBe("Redis at 127.0.0.1:1 cannot be reached: nothing listens there");
  });
  test.each([
    ["amqp://ada:secret@127.0.0.1:1", /^RabbitMQ at 127\.0\.0\.1:1 cannot be reached: .*$/],
    ["nats://ada:secret@127.0.0.1:1", /^NATS at 127\.0\.0\.1:1 cannot be reached: .*$/],
    ["postgres://ada:secret@127.0.0.1:1/db", /^PostgreSQL at 127\.0\.0\.1:1\/db cannot be (reached|used).*$/],
    [
      "nats://ada:secret@127.0.0.1:1+redis://ada:secret@127.0.0.1:1",
      /^(NATS|Redis) at 127\.0\.0\.1:1 cannot be reached: .*$/,
    ],
  ])("%s, where nothing listens", async (url, line) => {
    const said = await refusal(["--port", "0", "--backplane", url]);
    expect(said).toMatch(line);
    expect(said).not.toContain("secret");
  });
  test("a driver that is not installed, with the command that installs it", async () => {
    // Node's module hooks play a machine without the package. Node 26 calls `register` deprecated; what replaces it is not in Node 20.
    const hooks = `export async function resolve(name, context, next) {
      if (name === "@redis/client") throw Object.assign(new Error("Cannot find package"), { code: "ERR_MODULE_NOT_FOUND" });
      return next(name, context);
    }`;
    const module = (source: string): string => `data:text/javascript,${encodeURIComponent(source)}`;
    const register = `import { register } from "node:module"; register(${JSON.stringify(module(hooks))});`;
    expect(
      await refusal(["--port", "0", "--backplane", "redis://127.0.0.1:1"], {
        NODE_OPTIONS: `--no-deprecation --import=${module(register)}`,
      }),
    ).toMatch(/@redis\/client.*npm install @redis\/client/);
  });
  test("an application that is not there, does not load, is none, refuses, or fails", async () => {
    expect(await refusal(["--app", "absent.js"])).toBe("--app absent.js: no such file");
    file("broken.mjs", "throw new Error('broken\\nin two lines')");
    expect(await refusal(["--app", "broken.mjs"])).toBe("--app broken.mjs: cannot be loaded: broken");
    file("none.mjs", "export const check = () => {};");
    expect(await refusal(["--app", "none.mjs"])).toBe("--app none.mjs: has no default export (zuruf, http) => …");
    file(
      "refuses.mjs",
      "export default () => {}; export function check({ instances, backplane }) { throw new Error(`not with ${instances} on ${backplane}`); }",
    );
    expect(await refusal(["--app", "refuses.mjs"])).toBe("not with 1 on memory");
    file("fails.mjs", "export default async () => { throw new Error('no database'); }");
    expect(await refusal(["--port", "0", "--app", "fails.mjs"])).toBe("no database");
  });
});

describe("a running service", () => {
  test("prints where it is and how to stop it, and nothing else", async () => {
    const zuruf = serve();
    const url = await zuruf.url();
    await zuruf.printed(/Stop it with Ctrl\+C\n/);
    expect((await fetch(`${url}/readyz`)).status).toBe(200);
    expect(zuruf.stdout).toBe(`Zuruf is at ${url}\nStop it with Ctrl+C\n`);
    expect(zuruf.stderr).toBe("");
  });

  test("takes settings from flags before variables before the file", async () => {
    file("zuruf.json", JSON.stringify({ instance: "from-file", path: "/from-file", echo: true }));
    const zuruf = new ZurufProcess(["serve", "--port=0", "--config", "zuruf.json", "--instance", "from-flag"], {
      cwd: folder,
      env: { ZURUF_INSTANCE: "from-variable", ZURUF_PATH: "/from-variable" },
    });
    processes.push(zuruf);
    const url = await zuruf.url();
    expect(await (await fetch(`${url}/healthz`)).json()).toMatchObject({ instance: "from-flag" });
    const client = await PacketClient.open(url, { path: "/from-variable" });
    expect((await client.answer(1))[2]).toMatchObject({ instance: "from-flag" });
  });

  test("serves what its flags say: echo, origins, another path's 404, the API", async () => {
    const url = await serve("--echo", "--origins", "https://app.example", "--api-key", "0123456789abcdef").url();
    expect(await upgradeStatus(url, { path: "/echo", origin: "https://app.example" })).toBe(101);
    expect(await upgradeStatus(url, { path: "/echo", origin: url })).toBe(403);
    expect(await upgradeStatus(url, { path: "/nowhere" })).toBe(404);
    const socket = new WebSocket(`${url.replace("http", "ws")}/echo`);
    await once(socket, "open");
    for (const message of ["text", Buffer.from([1, 2, 3])]) {
      socket.send(message);
      const [data, isBinary] = (await once(socket, "message")) as [Buffer, boolean];
      expect([data.equals(Buffer.from(message)), isBinary]).toEqual([true, typeof message !== "string"]);
    }
    socket.terminate();
    const answer = await fetch(`${url}/api/v1/instances`, { headers: { authorization: "Bearer 0123456789abcdef" } });
    expect(answer.status).toBe(200);
  });

  test.each(["SIGINT", "SIGTERM"] as const)("%s closes connections with advice, then exits with 0", async (signal) => {
    const zuruf = serve();
    const client = await PacketClient.open(await zuruf.url());
    await client.answer(1);
    zuruf.kill(signal);
    const { code, reason } = await client.closed;
    expect(code).toBe(4400);
    expect(reason).toMatch(/^draining retryAfter=\d+$/);
    expect(await zuruf.exited).toEqual({ code: 0, signal: null });
  });

  test("the echo of a Ctrl+C is not a second one", async () => {
    const zuruf = serve();
    const client = await PacketClient.open(await zuruf.url());
    await client.answer(1);
    zuruf.kill("SIGINT");
    await zuruf.printed(/stopping/);
    zuruf.kill("SIGINT"); // as npm start hands it on
    expect((await client.closed).code).toBe(4400);
    expect(await zuruf.exited).toEqual({ code: 0, signal: null });
  });

  test("a second signal exits at once", async () => {
    const zuruf = serve("--drain-delay", "10m");
    await zuruf.url();
    zuruf.kill("SIGTERM");
    await zuruf.printed(/stopping/);
    await new Promise((resolve) => setTimeout(resolve, 600)); // beyond what counts as the first one's echo
    zuruf.kill("SIGTERM");
    expect(await zuruf.exited).toEqual({ code: 143, signal: null });
  });

  test("a signal during a slow start lets it finish, then stops", async () => {
    file(
      "slow.mjs",
      `export default async (zuruf) => {
         process.stdout.write("starting slowly\\n");
         zuruf.onClose(() => void process.stdout.write("closed properly\\n"));
         await new Promise((resolve) => setTimeout(resolve, 300));
       }`,
    );
    const zuruf = serve("--app", "slow.mjs");
    await zuruf.printed(/starting slowly/);
    zuruf.kill("SIGTERM");
    expect(await zuruf.exited).toEqual({ code: 0, signal: null });
    expect(zuruf.stdout).toContain("closed properly");
  });
});
