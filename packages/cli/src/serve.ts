import { fileURLToPath } from "node:url";
import {
  checkDeployment,
  loadSettings,
  serveHelp,
  startCluster,
  startService,
  type ServiceSettings,
} from "@zuruf/server";
import { fail } from "./fail.ts";
import { stopOnSignals } from "./signals.ts";

/** What the signals stop, be it one instance or many. */
interface Running {
  readonly url: string;
  close(): Promise<void>;
}

/** `zuruf serve`: starts, says where, and stops on a signal. */
export async function serve(args: readonly string[]): Promise<void> {
  const settings = settingsOrExit(args);
  if (settings === "help") {
    process.stdout.write(serveHelp());
    return;
  }
  const trace = settings.logLevel === "debug" || settings.logLevel === "trace";
  const started = start(settings);
  stopOnSignals(async () => (await started).close());
  try {
    const { url } = await started;
    const many = settings.instances > 1 ? ` (${settings.instances} instances)` : "";
    process.stdout.write(`Zuruf is at ${url}${many}\nStop it with Ctrl+C\n`);
  } catch (error) {
    fail(error, trace);
  }
}

function settingsOrExit(args: readonly string[]): ServiceSettings | "help" {
  try {
    return loadSettings({ args, env: process.env, cwd: process.cwd() });
  } catch (error) {
    return fail(error);
  }
}

async function start(settings: ServiceSettings): Promise<Running> {
  await checkDeployment(settings);
  if (settings.instances > 1) return startCluster(settings, fileURLToPath(new URL("instance.js", import.meta.url)));
  const { instances: _, ...config } = settings;
  return startService(config);
}
