import { existsSync } from "node:fs";
import { resolve } from "node:path";
import { pathToFileURL } from "node:url";
import type { FastifyInstance } from "fastify";
import type { Zuruf } from "./zuruf.ts";
import { oneLine, ServerError } from "./errors.ts";

/**
 * An application on Zuruf: a module's default export. It sets up channels and hooks, and routes on `http` (fastify), before the port serves
 * requests. Whatever it throws stops the start: its message should be one line that says what to do.
 */
export type Application = (zuruf: Zuruf, http: FastifyInstance) => Promise<void> | void;

/** How the service is about to run, for an application that cannot run so. */
export interface Deployment {
  readonly instances: number;
  /** `memory`, or the broker's URL. */
  readonly backplane: string;
}

/** What an application module exports. */
export interface ApplicationModule {
  readonly default: Application;
  /** Throws, in one line, when the application cannot run so; called once, before anything starts. */
  readonly check?: (deployment: Deployment) => Promise<void> | void;
}

/** Loads an application module. @param file relative to the working directory. @throws ServerError applicationFailed. */
export async function loadApplication(file: string): Promise<ApplicationModule> {
  const path = resolve(file);
  if (!existsSync(path)) throw new ServerError("applicationFailed", `--app ${file}: no such file`);
  let module: Partial<ApplicationModule>;
  try {
    module = (await import(pathToFileURL(path).href)) as Partial<ApplicationModule>;
  } catch (error) {
    throw new ServerError("applicationFailed", `--app ${file}: cannot be loaded: ${oneLine(error)}`, error);
  }
  const { default: application, check } = module;
  if (typeof application !== "function")
    throw new ServerError("applicationFailed", `--app ${file}: has no default export (zuruf, http) => …`);
  if (check !== undefined && typeof check !== "function")
    throw new ServerError("applicationFailed", `--app ${file}: its export "check" is not a function`);
  return check === undefined ? { default: application } : { default: application, check };
}

/** Runs one of an application's own functions; what it throws is said in its own words. */
export async function runApplication(run: () => Promise<void> | void): Promise<void> {
  try {
    await run();
  } catch (error) {
    throw error instanceof ServerError ? error : new ServerError("applicationFailed", oneLine(error), error);
  }
}
