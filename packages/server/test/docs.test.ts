import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { WebSocket } from "ws";
import { flagName, optionKeys, options, variableName } from "../src/config/options.ts";

const root = join(import.meta.dirname, "../../..");
const page = readFileSync(join(root, "docs/server.md"), "utf8");

describe("docs/server.md", () => {
  test("has every option as the code has it", () => {
    const rows = page.split("\n").filter((line) => line.startsWith("| `--"));
    expect(rows).toEqual(
      optionKeys.map((key) => {
        const { kind, default: value } = options[key];
        const flag = kind.placeholder === undefined ? flagName(key) : `${flagName(key)} ${kind.placeholder}`;
        const shown = value === undefined ? "" : `\`${JSON.stringify(value)}\` `;
        return `| \`${flag.replaceAll("|", "\\|")}\` | \`${variableName(key)}\` | \`${key}\` | ${shown}|`;
      }),
    );
  });

  test("its program runs as printed", async () => {
    const [, program] = /```ts\n([\s\S]*?)```/.exec(page) ?? [];
    // Below the root, where packages are found by their names; any free port instead of 8080.
    mkdirSync(join(root, "test-output"), { recursive: true });
    const folder = mkdtempSync(join(root, "test-output/example-"));
    try {
      const file = join(folder, "program.ts");
      const say =
        'const say = () => process.stdout.write(`at ${(server.address() as import("node:net").AddressInfo).port}\\n`);' +
        'if (server.listening) say(); else server.once("listening", say);';
      writeFileSync(file, `${program?.replace("8080", "0")}\n${say}`);
      const child = spawn(process.execPath, ["--import", "tsx", file], {
        cwd: root,
        stdio: ["ignore", "pipe", "inherit"],
      });
      const [text] = (await once(child.stdout, "data")) as [Buffer];
      const url = `http://127.0.0.1:${text.toString().slice(3).trim()}`;
      expect(await (await fetch(url)).text()).toBe("hello\n");
      const socket = new WebSocket(`${url.replace("http", "ws")}/ws`, ["zuruf.v1.json"]);
      await once(socket, "open");
      socket.send('["connect",1,{"token":"ada"}]');
      const [answer] = (await once(socket, "message")) as [Buffer];
      expect(JSON.parse(answer.toString())).toMatchObject(["connected", 1, { user: "ada" }]);
      socket.terminate();
      child.kill("SIGKILL");
      await once(child, "exit");
    } finally {
      rmSync(folder, { recursive: true });
    }
  });
});
