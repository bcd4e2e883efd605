import { execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { createInterface } from "node:readline";
import { afterAll, beforeAll, expect, test } from "vitest";

/** What a user gets: the packed packages, installed in an empty folder, without this checkout. */

const root = resolve(import.meta.dirname, "..");
const packages = [
  ...["websocket", "protocol", "hub", "client", "server", "cli"].map((name) => join("packages", name)),
  ...readdirSync(join(root, "packages/backplanes")).map((name) => join("packages/backplanes", name)),
];
let folder = "";

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), "zuruf-tarballs-"));
  const tarballs = join(folder, "tarballs");
  mkdirSync(tarballs);
  execFileSync(
    "npm",
    ["pack", "--silent", "--ignore-scripts", "--pack-destination", tarballs, ...packages.map((path) => `./${path}`)],
    { cwd: root },
  );
  const app = join(folder, "app");
  mkdirSync(app);
  writeFileSync(
    join(app, "package.json"),
    JSON.stringify({ name: "app", version: "1.0.0", private: true, type: "module" }),
  );
  const files = readdirSync(tarballs).map((file) => join(tarballs, file));
  expect(files).toHaveLength(packages.length);
  execFileSync(
    "npm",
    ["install", "--silent", "--no-audit", "--no-fund", "--ignore-scripts", "--prefer-offline", ...files],
    { cwd: app },
  );
}, 180_000);

afterAll(() => {
  rmSync(folder, { recursive: true, force: true });
});

test("every package can be imported by its name, and ships neither tests nor what it does not need", () => {
  for (const path of packages) {
    const { name } = JSON.parse(readFileSync(join(root, path, "package.json"), "utf8")) as { name: string };
    const names = execFileSync(
      process.execPath,
      ["--input-type=module", "-e", `console.log(Object.keys(await import("${name}")).length)`],
      {
        cwd: join(folder, "app"),
        encoding: "utf8",
      },
    );
    expect(Number(names), name).toBeGreaterThan(0);
    const shipped = readdirSync(join(folder, "app/node_modules", name));
    expect(shipped, name).not.toContain("test");
    expect(shipped, name).toContain("dist");
  }
});

test("what is packed resolves for every user: publint and arethetypeswrong have nothing to say", () => {
  const bin = join(root, "node_modules/.bin");
  const files = readdirSync(join(folder, "tarballs"));
  expect(files).toHaveLength(packages.length);
  for (const file of files) {
    const tarball = join(folder, "tarballs", file);
    execFileSync(join(bin, "publint"), [tarball, "--strict"], { stdio: "pipe" });
    execFileSync(join(bin, "attw"), [tarball, "--profile", "esm-only", "--quiet"], { stdio: "pipe" });
  }
}, 120_000);

test("the installed command serves, and an installed client gets its own publication back", async () => {
  const app = join(folder, "app");
  writeFileSync(
    join(app, "app.js"),
    `export default (zuruf) => zuruf.channel("room", { subscribe: "anyone", publish: "anyone", history: { size: 10, ttl: "1m" } });\n`,
  );
  const server = spawn(join(app, "node_modules/.bin/zuruf"), ["serve", "--app", "app.js", "--port", "0"], {
    cwd: app,
    stdio: ["ignore", "pipe", "inherit"],
  });
  try {
    let url = "";
    for await (const line of createInterface({ input: server.stdout })) {
      url = /http:\/\/\S+/.exec(line)?.[0] ?? "";
      if (url !== "") break;
    }
    expect(url).not.toBe("");
    const script = `
      import { createClient } from "@zuruf/client";
      const client = createClient("${url.replace(/^http/, "ws").replace(/\/$/, "")}/ws");
      const room = client.channel("room");
      const heard = new Promise((resolve) => room.on("publication", ({ data, offset }) => resolve({ data, offset })));
      await room.subscribe();
      await room.publish({ text: "hi" });
      console.log(JSON.stringify(await heard));
      client.disconnect();
    `;
    const printed = execFileSync(process.execPath, ["--input-type=module", "-e", script], {
      cwd: app,
      encoding: "utf8",
      timeout: 15_000,
    });
    expect(JSON.parse(printed)).toEqual({ data: { text: "hi" }, offset: 1 });
  } finally {
    const ended = once(server, "exit");
    server.kill("SIGTERM");
    await ended;
  }
}, 60_000);
