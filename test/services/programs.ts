/** Finds the programs that tests need, and installs Debian's packages for those that are missing. */
import { spawn } from "node:child_process";
import { accessSync, constants, readdirSync } from "node:fs";
import { delimiter, join } from "node:path";

export const programs = {
  redis: { package: "redis-server", find: () => inPath("redis-server") },
  postgres: { package: "postgresql", find: findPostgres },
  chromium: {
    package: "chromium",
    find: () => inPath("chromium") ?? inPath("chromium-browser") ?? inPath("google-chrome"),
  },
  curl: { package: "curl", find: () => inPath("curl") },
  openssl: { package: "openssl", find: () => inPath("openssl") },
  rabbitmq: { package: "rabbitmq-server", find: () => executable("/usr/lib/rabbitmq/bin/rabbitmq-server") },
  nats: { package: "nats-server", find: () => inPath("nats-server") },
} as const satisfies Record<string, { package: string; find: () => string | undefined }>;
export type ProgramName = keyof typeof programs;

function executable(file: string): string | undefined {
  try {
    accessSync(file, constants.X_OK);
    return file;
  } catch {
    // Not there or not ours to run: the search goes on.
    return undefined;
  }
}

function inPath(name: string): string | undefined {
  for (const folder of [...(process.env["PATH"] ?? "").split(delimiter), "/usr/bin", "/usr/sbin", "/usr/local/bin"]) {
    const found = folder === "" ? undefined : executable(join(folder, name));
    if (found !== undefined) return found;
  }
  return undefined;
}

/** The folder with `initdb` and `postgres`; Debian keeps it out of PATH, one per version: the newest is taken. */
function findPostgres(): string | undefined {
  const versioned = "/usr/lib/postgresql";
  let versions: string[] = [];
  try {
    versions = readdirSync(versioned).sort((a, b) => Number(b) - Number(a));
  } catch {
    // No Debian package: PATH may know one.
  }
  for (const version of versions) {
    const folder = join(versioned, version, "bin");
    if (executable(join(folder, "initdb")) !== undefined && executable(join(folder, "postgres")) !== undefined)
      return folder;
  }
  return inPath("initdb")?.replace(/\/initdb$/, "");
}

/** Installs what is missing, all at once. Rejects with one line that says what to do. */
export async function installMissing(names: readonly ProgramName[]): Promise<void> {
  const packages = names.filter((name) => programs[name].find() === undefined).map((name) => programs[name].package);
  if (packages.length === 0) return;
  const wanted = packages.join(" ");
  const advice = `tests need ${wanted}: install it (Debian: apt-get install ${wanted}), or name running services (see test/services.ts)`;
  if (inPath("apt-get") === undefined) throw new Error(advice);
  const root = process.getuid?.() === 0;
  if (!root && inPath("sudo") === undefined) throw new Error(advice);
  console.log(`installing ${wanted} …`);
  // policy-rc.d is Debian's own way to install a server without starting it; one that is there already stays as it is.
  const script = `set -e
policy=/usr/sbin/policy-rc.d
if [ ! -e "$policy" ]; then
  trap 'rm -f "$policy"' EXIT
  trap 'exit 130' INT TERM HUP
  printf '#!/bin/sh\\nexit 101\\n' > "$policy"
  chmod 755 "$policy"
fi
export DEBIAN_FRONTEND=noninteractive
apt-get update -q
apt-get install -q -y --no-install-recommends ${wanted}`;
  const { code, output } = root ? await run("sh", ["-c", script]) : await run("sudo", ["-n", "sh", "-c", script]);
  if (code !== 0) {
    const reason = output.trim().split("\n").at(-1) ?? "";
    throw new Error(`${advice}; apt-get said: ${reason}`);
  }
}

function run(command: string, args: readonly string[]): Promise<{ code: number | null; output: string }> {
  return new Promise((resolve, reject) => {
    const child = spawn(command, args, { stdio: ["ignore", "pipe", "pipe"] });
    let output = "";
    const collect = (chunk: Buffer): void => {
      output = (output + chunk.toString()).slice(-65_536);
    };
    child.stdout.on("data", collect);
    child.stderr.on("data", collect);
    child.on("error", reject);
    child.on("close", (code) => resolve({ code, output }));
  });
}
