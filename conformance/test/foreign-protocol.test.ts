/** A client of the Zuruf protocol in another language, `foreign/zuruf`, written from docs/protocol.md alone. It takes Python and installing, so only `npm run test:full` has it. */
import { execFile, execFileSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { createServer as createHttpServer } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";

import { MemoryBackplane, MemoryBroker } from "@zuruf/hub";
import { createServer, type Zuruf, ZurufError } from "@zuruf/server";
import { afterAll, beforeAll, describe, expect, test } from "vitest";

const here = (path: string): string => fileURLToPath(new URL(path, import.meta.url));
const full = process.env["ZURUF_TEST_FULL"] === "1";

/** One of several instances around a broker, with what `talk.py` asks for. */
function startInstance(broker: MemoryBroker): Zuruf {
  const history = { size: 1000, ttl: "1h" };
  const zuruf = createServer({
    backplane: new MemoryBackplane(broker),
    direct: "anyone",
    channels: {
      "log:*": { history, publish: "anyone" },
      "flaky:*": { history, publish: "anyone" },
      "room:*": { presence: true },
    },
  });
  zuruf.onConnect(({ token }) => {
    if (token === undefined) return undefined;
    if (token === "bad") throw new ZurufError("unauthorized", "no such token");
    const [user, ms] = token.split("/");
    return { ...(user !== undefined && { user }), ...(ms !== undefined && { expires: Date.now() + Number(ms) }) };
  });
  let publications = 0;
  zuruf.onPublish(({ channel }) => {
    if (channel.startsWith("flaky:") && ++publications % 50 === 0)
      throw new ZurufError("unavailable", "not now", { retryAfter: 20 });
  });
  zuruf.handle("add", ({ data }) => (data as number[]).reduce((sum, n) => sum + n, 0));
  zuruf.handle("ask", ({ client, data }) => zuruf.call(client, ...(data as [method: string, data: number])));
  zuruf.handle("later", () => {
    throw new ZurufError("rateLimited", "later", { retryAfter: 700 });
  });
  zuruf.handle("never", () => new Promise(() => undefined));
  return zuruf;
}

describe.runIf(full)("a client in Python", () => {
  const folder = mkdtempSync(join(tmpdir(), "zuruf-python-"));
  const python = join(folder, "bin/python");
  const servers: Zuruf[] = [];
  const urls: string[] = [];
  /** What it prints; rejects with its trace when it fails. (Python's event loop may note on stderr that a connection was cut.) */
  const run = async (script: string, ...args: string[]): Promise<string> =>
    (await promisify(execFile)(python, ["-B", here(`../foreign/zuruf/${script}`), ...args])).stdout;

  beforeAll(async () => {
    execFileSync("python3", ["-m", "venv", folder]);
    execFileSync(python, ["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "websockets==15.0.1"]);
    const broker = new MemoryBroker();
    for (let i = 0; i < 2; i++) {
      const zuruf = startInstance(broker);
      const http = createHttpServer();
      zuruf.attach(http);
      zuruf.onClose(() => void http.close());
      await new Promise<void>((resolve) => void http.listen(0, "127.0.0.1", resolve));
      servers.push(zuruf);
      urls.push(`ws://127.0.0.1:${(http.address() as AddressInfo).port}/ws`);
    }
  }, 120_000);
  afterAll(async () => {
    rmSync(folder, { recursive: true, force: true });
    await Promise.all(servers.map((zuruf) => zuruf.close()));
  });

  test("reads and writes the golden vectors", async () => {
    expect(await run("vectors.py", here("../protocol/packets.json"))).toMatch(/^ok \d+\n$/);
  });

  test.each(["json", "bin"])(
    "speaks with two instances, %s",
    async (codec) => {
      expect(await run("talk.py", codec, ...urls)).toBe("ok\n");
    },
    120_000,
  );
});
