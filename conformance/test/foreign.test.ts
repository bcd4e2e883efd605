/** Implementations in other languages: Python's `websockets` and Bun. They take installing, so only `npm run test:full` has them. */
import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import { existsSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";

import { WebSocket } from "@zuruf/websocket";
import { afterAll, beforeAll, describe, expect, test } from "vitest";

import { bunBinary, install } from "../../bench/measure/programs.ts";
import { type Echo, startEcho } from "./echo.ts";
import { type Client, exchange, expectSame, samples } from "./exchange.ts";

const here = (path: string): string => fileURLToPath(new URL(path, import.meta.url));
const full = process.env["ZURUF_TEST_FULL"] === "1";

/** A process that prints its port, or a JSON line that holds it. */
class ForeignServer {
  readonly #process: ChildProcess;

  constructor(file: string, args: readonly string[]) {
    this.#process = spawn(file, args, { stdio: ["pipe", "pipe", "inherit"] });
  }

  async port(): Promise<number> {
    const { stdout } = this.#process;
    if (!stdout) throw new Error("the server has no output");
    for await (const line of createInterface({ input: stdout })) {
      const said: unknown = JSON.parse(line);
      return typeof said === "number" ? said : (said as { port: number }).port;
    }
    throw new Error("the server ended before it listened");
  }

  stop(): void {
    this.#process.kill("SIGKILL");
  }
}

async function echoesAll(url: string, compress: boolean): Promise<void> {
  const messages = samples();
  const options = compress ? { compression: { threshold: 1, contextTakeover: true } } : {};
  const { echoes, code, wasClean } = await exchange(new WebSocket(url, [], options) as unknown as Client, messages);
  expectSame(echoes, messages);
  expect({ code, wasClean }).toEqual({ code: 4321, wasClean: true });
}

describe.runIf(full)("Python's websockets", () => {
  const folder = mkdtempSync(join(tmpdir(), "zuruf-python-"));
  const python = join(folder, "bin/python");
  let echo: Echo;

  beforeAll(async () => {
    execFileSync("python3", ["-m", "venv", folder]);
    execFileSync(python, ["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "websockets==15.0.1"]);
    echo = await startEcho({ compression: { threshold: 1, contextTakeover: true } });
  }, 120_000);
  afterAll(async () => {
    rmSync(folder, { recursive: true, force: true });
    await echo.close();
  });

  test.each(["off", "on"])("its client with our server, compression %s", async (compression) => {
    const client = spawn(python, [here("../foreign/client.py"), echo.url, compression], {
      stdio: ["ignore", "pipe", "pipe"],
    });
    let said = "";
    client.stdout.on("data", (text: Buffer) => (said += text.toString()));
    client.stderr.on("data", (text: Buffer) => (said += text.toString()));
    await new Promise((resolve) => void client.on("close", resolve));
    expect(said).toBe(compression === "on" ? "ok PerMessageDeflate\n" : "ok \n");
  });

  test.each(["off", "on"])("our client with its server, compression %s", async (compression) => {
    expect.hasAssertions();
    const server = new ForeignServer(python, [here("../foreign/server.py"), compression]);
    try {
      await echoesAll(`ws://127.0.0.1:${await server.port()}/`, compression !== "off");
    } finally {
      server.stop();
    }
  });
});

describe.runIf(full)("Bun", () => {
  beforeAll(() => {
    expect(install()).toBeUndefined();
    expect(existsSync(bunBinary() ?? "")).toBe(true);
  }, 200_000);

  test.each(["off", "fresh", "context"])("our client with its server, compression %s", async (compression) => {
    expect.hasAssertions();
    const order = JSON.stringify({ mode: "echo", compression });
    const server = new ForeignServer(bunBinary() ?? "bun", [here("../../bench/peers/bun.ts"), order]);
    try {
      await echoesAll(`ws://127.0.0.1:${await server.port()}/`, compression !== "off");
    } finally {
      server.stop();
    }
  });
});
