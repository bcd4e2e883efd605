import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { FolderLockedError, lockFolder } from "../src/server/folder-lock.ts";

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "zuruf-lock-"));
});
afterEach(() => rm(folder, { recursive: true }));

/** A process id that is free: of a process that has just ended. */
async function endedPid(): Promise<number> {
  const child = spawn(process.execPath, ["-e", "0"]);
  await once(child, "exit");
  return child.pid ?? 0;
}

describe("folder lock", () => {
  test("a living process keeps others out, and leaves nothing behind when it is done", async () => {
    const lock = await lockFolder(folder);
    await expect(lockFolder(folder)).rejects.toThrow(FolderLockedError);
    await expect(lockFolder(folder)).rejects.toMatchObject({ pid: process.pid });
    expect(await readdir(folder)).toEqual(["lock"]);
    await lock.release();
    await lock.release();
    expect(await readdir(folder)).toEqual([]);
    await (await lockFolder(folder)).release();
  });

  test("the lock of a process that is gone is taken over", async () => {
    await writeFile(join(folder, "lock"), JSON.stringify({ pid: await endedPid(), started: "1" }));
    const lock = await lockFolder(folder);
    expect(JSON.parse(await readFile(join(folder, "lock"), "utf8"))).toMatchObject({ pid: process.pid });
    await lock.release();
    expect(await readdir(folder)).toEqual([]);
  });

  test.runIf(process.platform === "linux")("a stranger with the same process id does not hold it", async () => {
    await writeFile(join(folder, "lock"), JSON.stringify({ pid: process.pid, started: "1" }));
    await expect(lockFolder(folder)).resolves.toBeDefined();
  });

  test.each(["", "nonsense", "{}", '{"pid":-1}'])(
    "a lock that says %j was cut off by a power failure",
    async (text) => {
      await writeFile(join(folder, "lock"), text);
      await expect(lockFolder(folder)).resolves.toBeDefined();
    },
  );

  test("of many that take over a stale lock at once, one succeeds", async () => {
    const stale = JSON.stringify({ pid: await endedPid(), started: "1" });
    for (let round = 0; round < 50; round++) {
      await writeFile(join(folder, "lock"), stale);
      const results = await Promise.allSettled(Array.from({ length: 8 }, () => lockFolder(folder)));
      const locks = results.flatMap((result) => (result.status === "fulfilled" ? [result.value] : []));
      expect(locks).toHaveLength(1);
      await locks[0]?.release();
      expect(await readdir(folder)).toEqual([]);
    }
  });

  test("a process that died while it took over is taken over, too", async () => {
    const stale = JSON.stringify({ pid: await endedPid(), started: "1" });
    await writeFile(join(folder, "lock"), stale);
    await writeFile(join(folder, "lock.takeover"), stale);
    await (await lockFolder(folder)).release();
    expect(await readdir(folder)).toEqual([]);
  });

  test("releasing does not remove what another process has taken meanwhile", async () => {
    const lock = await lockFolder(folder);
    await writeFile(join(folder, "lock"), JSON.stringify({ pid: 1, started: null }));
    await lock.release();
    expect(await readdir(folder)).toEqual(["lock"]);
  });
});
