import { createServer } from "node:http";
import { setTimeout as delay } from "node:timers/promises";
import type { Backplane } from "@zuruf/hub";
import { serveApi } from "./api/routes.ts";
import { loadApplication, runApplication, type Application } from "./application.ts";
import { openBackplane } from "./backplanes.ts";
import { checkSettings } from "./config/load.ts";
import type { ServiceSettings } from "./config/service-config.ts";
import { sharedOptions, ZurufServer } from "./create-server.ts";
import { echoServer } from "./echo.ts";
import { applicationServer } from "./http/application-server.ts";
import { gate } from "./http/gate.ts";
import { finish, ownPort, urlOf, type Entrance } from "./http/listen.ts";
import { instanceName } from "./instance-name.ts";
import { stderrLogger } from "./log.ts";
import { instanceMetrics, mergeMetrics, metricsType } from "./metrics.ts";
import { OwnHealth } from "./own-health.ts";
import type { InstanceHealth } from "./readiness.ts";
import type { ServerOptions, Zuruf } from "./zuruf.ts";

/** How `startService` makes a service: the settings of `zuruf serve`, where a program can also give things instead of their names. */
export interface ServiceConfig extends Partial<Omit<ServiceSettings, "app" | "backplane" | "instances">> {
  /** The application, or its module's file. */
  readonly app?: Application | string | undefined;
  /** The backplane, or its URL, or `memory`. */
  readonly backplane?: Backplane | string;
}

/** Where an instance stands among others behind the same port; an instance on its own needs none of it. */
export interface Membership {
  /** All instances behind the port, this one with what it says of itself. */
  health(own: InstanceHealth): Promise<readonly InstanceHealth[]>;
  /** The metrics of all instances, each a text, this one's with what it says of itself. */
  metrics(own: () => Promise<string>): Promise<readonly string[]>;
  /** Where its connections come from; default: a port of its own. */
  readonly entrance?: Entrance;
}

/** A running service. */
export interface Service {
  /** Such as `http://127.0.0.1:8080`. */
  readonly url: string;
  readonly port: number;
  readonly zuruf: Zuruf;
  /** What this instance says of itself now. */
  health(): InstanceHealth;
  /** This instance's metrics in Prometheus' text format; empty unless the setting `metrics` is on. */
  metrics(): Promise<string>;
  /**
   * Stops gracefully: not ready, then no new connections, then the open ones closed spread over `drainWindow`, then requests in progress
   * finished (5 s), then the application closed, then the backplane left. Once: further calls return the first one's promise.
   */
  close(): Promise<void>;
}

/** How long requests in progress may take when the service stops, in milliseconds. */
const requestsWithin = 5000;

const alone: Membership = {
  health: async (own) => [own],
  metrics: async (own) => [await own()],
};

/**
 * Starts one instance of the whole service: channels on `path`, `/echo`, `/healthz`, `/readyz`, static files and an application.
 * The port is bound first, so that a slow start cannot lose it; until the start is done it answers 503.
 * @throws ServerError with one line that says what to do; nothing is left running then.
 */
export async function startService(config: ServiceConfig = {}, membership: Membership = alone): Promise<Service> {
  const { app, backplane = "memory", ...rest } = config;
  const settings = checkSettings(typeof backplane === "string" ? { ...rest, backplane } : rest);
  const undo: (() => Promise<unknown>)[] = [];
  try {
    return await start(settings, app, backplane, membership, undo);
  } catch (error) {
    // The reason for giving up is what counts: what else fails on the way down is its consequence.
    for (const step of undo.toReversed()) await step().catch(() => undefined);
    throw error;
  }
}

async function start(
  settings: ServiceSettings,
  app: Application | string | undefined,
  backplane: Backplane | string,
  membership: Membership,
  undo: (() => Promise<unknown>)[],
): Promise<Service> {
  const { host, readyWhenDegraded, maxMessage, compression, drainDelay, drainWindow } = settings;
  const instance = settings.instance ?? instanceName();
  const logger = stderrLogger(settings.logLevel, instance);
  const own = new OwnHealth(instance);
  let zuruf: ZurufServer | undefined;
  const health = (): InstanceHealth => own.tell(zuruf?.status());

  const front = gate({ instance, readyWhenDegraded, health: () => membership.health(health()) });
  const server = createServer({ headersTimeout: 10_000, connectionsCheckingInterval: 5000 }, front.listener);
  const entrance = membership.entrance ?? ownPort(host, settings.port);
  undo.push(() => finish(server, entrance, 0));
  const port = await entrance.open(server);

  const application = typeof app === "string" ? (await loadApplication(app)).default : app;
  const broker = typeof backplane === "string" ? await openBackplane(backplane) : backplane;
  const running = new ZurufServer({ ...serverOptions(settings), instance, logger, backplane: broker });
  zuruf = running;
  undo.push(() => running.close({ within: 0 }));
  await running.start();

  const { http, listener } = await applicationServer(server, { ...settings, logger });
  undo.push(() => http.close());
  const registry = settings.metrics ? instanceMetrics(running) : undefined;
  const metrics = async (): Promise<string> => (await registry?.metrics()) ?? "";
  if (registry !== undefined)
    http.get("/metrics", async (_request, reply) => {
      reply.header("content-type", metricsType);
      return mergeMetrics(await membership.metrics(metrics));
    });
  if (settings.apiKey !== undefined) await serveApi(http, running, settings.apiKey);
  await runApplication(async () => {
    await application?.(running, http);
    await http.ready();
  });

  const echo = settings.echo ? echoServer(running.admit, { maxMessage, compression }) : undefined;
  echo?.attach(server, { path: "/echo" });
  running.attach(server);
  front.open(listener);
  own.phase = "serving";

  const stop = async (): Promise<void> => {
    own.phase = "draining";
    await delay(drainDelay);
    const finished = finish(server, entrance, requestsWithin);
    await Promise.all([
      running.drain({ within: drainWindow }),
      echo?.close({ code: 1001, reason: "draining", within: 1000 }),
    ]);
    await finished;
    await http.close();
    await running.close();
  };
  let stopped: Promise<void> | undefined;
  return { url: urlOf(host, port), port, zuruf: running, health, metrics, close: () => (stopped ??= stop()) };
}

/** The settings that the embedded server knows too. */
function serverOptions(settings: ServiceSettings): ServerOptions {
  const { channels, limits } = settings;
  return { channels, limits, ...Object.fromEntries(sharedOptions.map((key) => [key, settings[key]])) };
}
