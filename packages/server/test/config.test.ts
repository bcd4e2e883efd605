import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, test } from "vitest";
import { serveHelp } from "../src/config/help.ts";
import { checkSettings, loadSettings } from "../src/config/load.ts";
import { flagName, optionKeys, options, variableName } from "../src/config/options.ts";

const folder = mkdtempSync(join(tmpdir(), "zuruf-config-"));
afterAll(() => rmSync(folder, { recursive: true }));

function file(content: unknown): string {
  const name = join(folder, `${Math.random().toString(36).slice(2)}.json`);
  writeFileSync(name, typeof content === "string" ? content : JSON.stringify(content));
  return name;
}
const load = (args: string[], env: Record<string, string> = {}): ReturnType<typeof loadSettings> =>
  loadSettings({ args, env, cwd: folder });
const refusal = (args: string[], env: Record<string, string> = {}): string => {
  try {
    load(args, env);
  } catch (error) {
    return (error as Error).message;
  }
  throw new Error("was not refused");
};

describe("precedence", () => {
  test("defaults come from the table", () => {
    expect(load([])).toEqual(Object.fromEntries(optionKeys.map((key) => [key, options[key].default])));
  });
  test("a flag wins over a variable, a variable over the file, the file over the default", () => {
    const config = file({ port: 1, host: "::1", drainWindow: "3s", echo: true });
    const settings = load(["--config", config, "--port=3"], { ZURUF_PORT: "2", ZURUF_HOST: "localhost" });
    expect(settings).toMatchObject({ port: 3, host: "localhost", drainWindow: 3000, echo: true, instances: 1 });
  });
  test("the last of two flags wins, and --no- turns a switch off", () => {
    expect(load(["--port", "1", "--port", "2", "--no-echo"], { ZURUF_ECHO: "1" })).toMatchObject({
      port: 2,
      echo: false,
    });
  });
  test("ZURUF_CONFIG names the file when no flag does", () => {
    expect(load([], { ZURUF_CONFIG: file({ port: 7 }) })).toMatchObject({ port: 7 });
  });
});

describe("values", () => {
  test("each option is reachable as flag, variable and key", () => {
    const samples: Record<string, [string, unknown]> = {
      port: ["81", 81],
      host: ["0.0.0.0", "0.0.0.0"],
      backplane: ["redis://127.0.0.1:6379", "redis://127.0.0.1:6379"],
      instances: ["3", 3],
      instance: ["web-1", "web-1"],
      app: ["app.js", "app.js"],
      static: ["public", "public"],
      path: ["/live", "/live"],
      echo: ["true", true],
      apiKey: ["0123456789abcdef", "0123456789abcdef"],
      metrics: ["true", true],
      origins: ["https://a.example:443, http://b.example:81", ["https://a.example", "http://b.example:81"]],
      trustedProxies: ["10.0.0.0/8,::1", ["10.0.0.0/8", "::1"]],
      channels: ['{"chat:*":{"history":{"size":10,"ttl":"1h"}}}', { "chat:*": { history: { size: 10, ttl: "1h" } } }],
      limits: ['{"subscriptions":9}', { subscriptions: 9 }],
      connectionRate: ["5", 5],
      connectionBurst: ["6", 6],
      maxConnections: ["7", 7],
      maxMessage: ["65536", 65_536],
      compression: ["1", true],
      drainDelay: ["250ms", 250],
      drainWindow: ["2m", 120_000],
      readyWhenDegraded: ["true", true],
      logLevel: ["debug", "debug"],
    };
    expect(Object.keys(samples)).toEqual(optionKeys);
    for (const [key, [text, value]] of Object.entries(samples)) {
      expect(load([`${flagName(key)}=${text}`]), key).toMatchObject({ [key]: value });
      expect(load([], { [variableName(key)]: text }), key).toMatchObject({ [key]: value });
      expect(load(["--config", file({ [key]: value })]), key).toMatchObject({ [key]: value });
      expect(checkSettings({ [key]: value }), key).toMatchObject({ [key]: value });
    }
  });
});

describe("refusals name the option and its place", () => {
  test.each([
    [["--prot", "1"], {}, "--prot: unknown option; did you mean --port?"],
    [["serve"], {}, 'unexpected argument "serve"; options start with --, see zuruf serve --help'],
    [["--port"], {}, "--port: needs a value"],
    [["--port", "99999"], {}, "--port: expected an integer from 0 to 65535, got 99999"],
    [["--port", "80a"], {}, '--port: expected an integer from 0 to 65535, got "80a"'],
    [["--instances", "0"], {}, "--instances: expected an integer from 1 to 256, got 0"],
    [["--no-port"], {}, "--no-port: unknown option; did you mean --port?"],
    [["--echo=perhaps"], {}, '--echo: expected true or false, got "perhaps"'],
    [
      ["--drain-window", "soon"],
      {},
      '--drain-window: expected a time from 0 to 10m, such as 500ms, 10s or 1m, got "soon"',
    ],
    [["--api-key", "geheim"], {}, "--api-key: expected 16 to 200 visible characters, got something else"],
    [
      ["--origins", "null"],
      {},
      '--origins: expected exact origins such as https://example.com or http://localhost:5173, got ["null"]',
    ],
    [
      ["--origins", "https://a.example/path"],
      {},
      '--origins: expected exact origins such as https://example.com or http://localhost:5173, got ["https://a.example/path"]',
    ],
    [
      ["--trusted-proxies", "10.0.0.0/33"],
      {},
      '--trusted-proxies: expected IP addresses or CIDR ranges such as 10.0.0.0/8, got ["10.0.0.0/33"]',
    ],
    [["--channels", "{chat"], {}, "--channels: Invalid input: expected record, received string"],
    [["--channels", '{"chat:*":{"histroy":1}}'], {}, '--channels: chat:*: Unrecognized key: "histroy"'],
    [["--limits", '{"subscriptoins":9}'], {}, '--limits: Unrecognized key: "subscriptoins"'],
    [
      ["--limits", '{"subscriptions":"9"}'],
      {},
      "--limits: subscriptions: Invalid input: expected number, received string",
    ],
    [[], { ZURUF_BACKPLAIN: "memory" }, "ZURUF_BACKPLAIN: unknown variable; did you mean ZURUF_BACKPLANE?"],
    [
      [],
      { ZURUF_PORT: "tcp://10.0.0.1:80" },
      'ZURUF_PORT: expected an integer from 0 to 65535, got "tcp://10.0.0.1:80"',
    ],
    [["--config", "absent.json"], {}, "--config absent.json: no such file"],
  ] as [string[], Record<string, string>, string][])("%j %j", (args, env, message) => {
    expect(refusal(args, env)).toBe(message);
  });
  test("a backplane is named without its password", () => {
    const message = refusal(["--backplane", "ftp://ada:secret@host/x"]);
    expect(message).toMatch(
      /^--backplane: expected memory or a URL that starts with redis:\/\/.*, got "ftp:\/\/host\/x"$/,
    );
  });
  test("a config file with an unknown key, a bad value, or no JSON", () => {
    const unknown = file({ prot: 1 });
    expect(refusal(["--config", unknown])).toBe(`${unknown}: prot: unknown key; did you mean port?`);
    const bad = file({ port: "80" });
    expect(refusal(["--config", bad])).toBe(`${bad}: port: expected an integer from 0 to 65535, got "80"`);
    expect(refusal(["--config", file("{")])).toMatch(/^--config .*: not JSON: [^\n]+$/);
    expect(refusal(["--config", file([])])).toMatch(/: expected one JSON object$/);
  });
  test("a bad value is refused even where another overrides it", () => {
    expect(refusal(["--port", "1"], { ZURUF_PORT: "x" })).toMatch(/^ZURUF_PORT: /);
  });
  test("names of an object's own machinery are unknown keys", () => {
    expect(refusal(["--config", file('{"__proto__":1}')])).toMatch(/unknown key$/);
    expect(refusal(["--config", file({ constructor: 1 })])).toMatch(/unknown key$/);
  });
  test("variables of others are left alone", () => {
    expect(
      load([], { ZURUF_SERVICE_HOST: "10.0.0.1", ZURUF_PORT_8080_TCP: "tcp://x", ZURUF_TEST_REDIS_URL: "x" }),
    ).toMatchObject({ port: 8080 });
  });
});

test("help lists every option once, with its default", () => {
  const help = serveHelp();
  for (const key of optionKeys) expect(help.match(new RegExp(`^  ${flagName(key)}( |$)`, "gm")), key).toHaveLength(1);
  expect(help).toContain("(8080)");
  for (const line of help.split("\n")) expect(line.length, line).toBeLessThanOrEqual(120);
});
