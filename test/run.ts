/**
 * `npm test [-- options and paths of vitest]`: starts the services that tests need, runs the tests, stops the services.
 *
 * `--full` also runs the long tests (`ZURUF_TEST_FULL=1`) with every broker. RabbitMQ and NATS are installed only then, or when a path names them; where they are installed, they take part.
 * The exit code is vitest's; the last line is `N passed, N failed, N skipped`.
 */
import { spawn, type ChildProcess } from "node:child_process";
import { readFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { constants } from "node:os";
import { dirname, join } from "node:path";
import { startServices, type Services } from "./services.ts";
import { removeFolder, temporaryFolder } from "./services/process.ts";
import { programs, type ProgramName } from "./services/programs.ts";

const args = process.argv.slice(2);
const full = args.includes("--full");
const vitestArgs = args.filter((arg) => arg !== "--full");
const optional = (["rabbitmq", "nats"] as const).filter(
  (name) => full || programs[name].find() !== undefined || vitestArgs.some((arg) => arg.includes(name)),
);
const wanted: readonly ProgramName[] = ["redis", "postgres", "chromium", "curl", "openssl", ...optional];

let vitest: ChildProcess | undefined;
let interrupted: NodeJS.Signals | undefined;
for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) {
  process.on(signal, () => {
    // A second signal ends the tests at once; the services are stopped in any case.
    vitest?.kill(interrupted === undefined ? signal : "SIGKILL");
    interrupted = signal;
  });
}

let services: Services | undefined;
const folder = await temporaryFolder("tests");
try {
  services = await startServices(wanted);
  if (interrupted === undefined) {
    const report = join(folder, "report.json");
    const code = await runVitest(services, report);
    const { passed, failed, skipped } = await summary(report);
    // An error outside of any test (a file that does not load, an unhandled rejection) is a failure, too.
    console.log(`${passed} passed, ${code === 0 ? failed : Math.max(failed, 1)} failed, ${skipped} skipped`);
    process.exitCode = code;
  }
} catch (error) {
  console.error(`npm test: ${error instanceof Error ? error.message : String(error)}`);
  process.exitCode = 1;
} finally {
  await services?.stop();
  await removeFolder(folder);
}
if (interrupted !== undefined) process.exitCode = 128 + constants.signals[interrupted];

function runVitest(running: Services, report: string): Promise<number> {
  const program = join(dirname(createRequire(import.meta.url).resolve("vitest/package.json")), "vitest.mjs");
  const reporters = ["--reporter=default", "--reporter=json", `--outputFile.json=${report}`];
  return new Promise((resolve, reject) => {
    vitest = spawn(process.execPath, [program, "run", ...reporters, ...vitestArgs], {
      stdio: "inherit",
      env: { ...process.env, ...running.env, ...(full ? { ZURUF_TEST_FULL: "1" } : {}) },
    });
    vitest.on("error", reject);
    vitest.on("exit", (code) => resolve(code ?? 1));
  });
}

async function summary(report: string): Promise<{ passed: number; failed: number; skipped: number }> {
  let text: string;
  try {
    text = await readFile(report, "utf8");
  } catch {
    // vitest ended before it wrote one; its own output says why, and its exit code is ours.
    return { passed: 0, failed: 0, skipped: 0 };
  }
  const {
    numPassedTests: passed,
    numFailedTests: failed,
    numPendingTests: pending,
    numTodoTests: todo,
  } = JSON.parse(text) as Record<"numPassedTests" | "numFailedTests" | "numPendingTests" | "numTodoTests", number>;
  return { passed, failed, skipped: pending + todo };
}
