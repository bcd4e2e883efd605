import { execFile, spawn } from "node:child_process";
import { once } from "node:events";
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { delimiter, dirname, join, resolve } from "node:path";
import { createInterface } from "node:readline";
import { promisify } from "node:util";
import { afterAll, beforeAll, describe, expect, test } from "vitest";

/** Runs what the documents print: shell blocks as commands, TypeScript blocks through the compiler, and the front page's examples for real. */

const root = resolve(import.meta.dirname, "..");
const documents = [
  "README.md",
  "CONTRIBUTING.md",
  ...readdirSync(join(root, "docs"))
    .filter((file) => file.endsWith(".md"))
    .map((file) => `docs/${file}`),
];

interface Block {
  readonly document: string;
  readonly line: number;
  readonly language: string;
  readonly text: string;
}
const blocks: readonly Block[] = documents.flatMap((document) => {
  const text = readFileSync(join(root, document), "utf8");
  return [...text.matchAll(/^```(\w+)\n([\s\S]*?)^```$/gm)].map((match) => ({
    document,
    line: text.slice(0, match.index).split("\n").length,
    language: match[1] ?? "",
    text: match[2] ?? "",
  }));
});
const commands = [
  ...new Set(
    blocks
      .filter(({ language }) => language === "sh")
      .flatMap(({ text }) => text.replaceAll("\\\n", " ").split("\n"))
      .map((line) => line.replace(/\s+#.*$/, "").trim())
      .filter(Boolean),
  ),
];

/** A folder that looks like the checkout, so that what a command leaves behind is left there. */
let folder = "";
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), "zuruf-docs-"));
  for (const name of ["apps", "packages", "node_modules", "package.json"])
    symlinkSync(join(root, name), join(folder, name));
});
afterAll(() => {
  rmSync(folder, { recursive: true, force: true });
});

/** The commands that this very run, or the gate, is made of, and those that take longer than a test may: their scripts must exist. */
const known = /^npm (?:ci|test|run (?:check|test:full|test:nodes|test:faults|bench|fuzz|sim|conformance))(?: -- .*)?$/;

/** What the documents name by example, and the variable of what the tests have in its place. */
const substitutes = [
  ["redis://127.0.0.1:6379", "ZURUF_TEST_REDIS_URL"],
  ["postgres://127.0.0.1/guestbook", "ZURUF_TEST_POSTGRES_URL"],
] as const;

/** The command with what the tests have, and what it needs and they have not: `npm test` starts all of it. */
function here(command: string): { readonly line: string; readonly missing: readonly string[] } {
  const named = substitutes.filter(([example]) => command.includes(example));
  const line = named.reduce((text, [example, name]) => text.replaceAll(example, process.env[name] ?? ""), command);
  return { line, missing: named.map(([, name]) => name).filter((name) => process.env[name] === undefined) };
}

const apiKey = "a-key-of-the-documents-test";
/** The server that commands talk to which the documents show as a backend's. */
const server = `zuruf serve --port 8080 --channels '{"chat:*":{"history":{"size":1000,"ttl":"1h"},"publish":"anyone"}}'`;

/** Runs a command that serves until it prints its URL, gives that to `use`, and stops it as a person would. */
async function serve(command: string, use: (url: string) => Promise<void>): Promise<void> {
  const path = `${join(root, "node_modules/.bin")}${delimiter}${process.env["PATH"] ?? ""}`;
  const child = spawn("bash", ["-c", `exec env ${command}`], {
    cwd: folder,
    env: { ...process.env, PATH: path, ZURUF_PORT: "0", ZURUF_API_KEY: apiKey },
    stdio: ["ignore", "pipe", "pipe"],
    detached: true,
  });
  const ended = once(child, "exit");
  let printed = "";
  child.stderr.on("data", (chunk: Buffer) => (printed += chunk.toString()));
  try {
    let url: string | undefined;
    for await (const line of createInterface({ input: child.stdout })) {
      printed += `${line}\n`;
      url = /http:\/\/\S+/.exec(line)?.[0];
      if (url !== undefined) break;
    }
    expect(url, `${command} printed no URL:\n${printed}`).toBeDefined();
    await use(url ?? "");
  } finally {
    if (child.pid !== undefined && child.exitCode === null) process.kill(-child.pid, "SIGINT");
  }
  await ended;
}

describe("shell commands", () => {
  test.for(
    commands
      .flatMap((command) => command.split(" && "))
      .filter((command, index, all) => all.indexOf(command) === index),
  )("%s", { timeout: 60_000 }, async (command, { skip }) => {
    const { line, missing } = here(command);
    skip(missing.length > 0, `${missing.join(" and ")} not set: \`npm test\` starts what is needed`);
    if (known.test(command)) {
      const script = /^npm (?:run )?([\w:]+)/.exec(command)?.[1] ?? "";
      const { scripts } = JSON.parse(readFileSync(join(root, "package.json"), "utf8")) as {
        scripts: Record<string, string>;
      };
      if (script !== "ci") expect(Object.keys(scripts)).toContain(script);
      return;
    }
    if (/\bnpm start\b|\bzuruf serve\b/.test(command) && !command.includes("--help")) {
      // The variable for the port, which `serve` sets, gives way to the flag.
      await serve(line.replaceAll(/--port \d+/g, "--port 0"), async (url) => {
        const answer = await fetch(new URL("healthz", url));
        expect(answer.status).toBe(200);
      });
      return;
    }
    if (command.startsWith("curl ")) {
      await serve(server.replace("8080", "0"), async (url) => {
        const asked = command
          .replaceAll("http://127.0.0.1:8080", url.replace(/\/$/, ""))
          .replace("curl", "curl --silent --show-error --fail-with-body");
        const { stdout } = await promisify(execFile)("bash", ["-c", asked], {
          env: { ...process.env, ZURUF_API_KEY: apiKey },
        });
        expect(JSON.parse(stdout)).toHaveProperty("position");
      });
      return;
    }
    const path = `${join(root, "node_modules/.bin")}${delimiter}${process.env["PATH"] ?? ""}`;
    await promisify(execFile)("bash", ["-c", line], { cwd: folder, env: { ...process.env, PATH: path } });
  });
});

describe("TypeScript examples", () => {
  const examples = blocks.filter(({ language }) => language === "ts");
  const cache = join(root, "node_modules/.cache/docs");

  test("compile", async () => {
    rmSync(cache, { recursive: true, force: true });
    mkdirSync(cache, { recursive: true });
    const names = examples.map(({ document, line, text }) => {
      const name = `${document.replaceAll(/\W/g, "-")}-${line}.ts`;
      writeFileSync(join(cache, name), `${text}\nexport {};\n`);
      return name;
    });
    writeFileSync(join(cache, "package.json"), JSON.stringify({ type: "module" }));
    const base = { extends: join(root, "tsconfig.base.json"), files: [...names, join(root, "test/docs-names.d.ts")] };
    const options = {
      composite: false,
      incremental: false,
      noEmit: true,
      isolatedDeclarations: false,
      declaration: false,
      declarationMap: false,
      sourceMap: false,
      types: ["node"],
      lib: ["ES2023", "DOM", "DOM.Iterable"],
    };
    writeFileSync(join(cache, "tsconfig.json"), JSON.stringify({ ...base, compilerOptions: options }));
    const { stdout } = await promisify(execFile)(join(root, "node_modules/.bin/tsc"), ["-p", cache]).catch(
      (error: unknown) => error as { stdout: string },
    );
    expect(stdout).toBe("");
  }, 60_000);

  test("the front page's server and client talk to each other", async () => {
    const [server, client] = examples.filter(({ document }) => document === "README.md").map(({ text }) => text);
    const run = join(cache, "front-page");
    mkdirSync(run, { recursive: true });
    writeFileSync(
      join(run, "server.ts"),
      (server ?? "").replace(
        "http.listen(8080);",
        "http.listen(0, () => console.log(`http://127.0.0.1:${(http.address() as { port: number }).port}/`));",
      ),
    );
    await serve(`node --import tsx ${join(run, "server.ts")}`, async (url) => {
      writeFileSync(
        join(run, "client.ts"),
        `${(client ?? "").replace("ws://127.0.0.1:8080/", url.replace("http", "ws"))}\nsetTimeout(() => client.disconnect(), 200);\n`,
      );
      const { stdout } = await promisify(execFile)("node", ["--import", "tsx", join(run, "client.ts")], {
        cwd: root,
        timeout: 20_000,
      });
      expect(stdout).toBe("hi\n");
    });
  }, 60_000);
});

test("every link between the documents leads somewhere", () => {
  const missing = documents.flatMap((document) =>
    [...readFileSync(join(root, document), "utf8").matchAll(/\]\((?!https?:|#|mailto:)([^)#\s]+)/g)]
      .map((match) => match[1] ?? "")
      .filter((target) => !existsSync(join(root, dirname(document), target)))
      .map((target) => `${document}: ${target}`),
  );
  expect(missing).toEqual([]);
});
