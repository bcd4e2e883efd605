import cluster from "node:cluster";
import type { ServiceSettings } from "../config/service-config.ts";
import { urlOf } from "../http/listen.ts";
import { stderrLogger } from "../log.ts";
import type { InstanceHealth } from "../readiness.ts";
import { FrontDoor } from "./front-door.ts";
import { shared } from "./questions.ts";
import { Seat, type SeatEvents } from "./seat.ts";

/** Several instances behind one port. */
export interface Cluster {
  readonly url: string;
  /** Every instance, and what it says of itself within a second. */
  health(): Promise<readonly InstanceHealth[]>;
  /** Stops all instances gracefully, side by side. Once: further calls return the first one's promise. */
  close(): Promise<void>;
  /** Ends all instances at once. */
  kill(): void;
}

/** What an instance needs beyond its drain time to end by itself, in milliseconds. */
const grace = 15_000;

/**
 * Starts `settings.instances` processes of this program behind one port (node:cluster), each an instance with a name of its own (`i1-…`, `i2-…`),
 * and starts again, with growing pauses, those that end by themselves.
 * @param file the program of an instance; it calls `runWorker`.
 * @throws ServerError what the first instance that cannot start says; none is left running then.
 */
export async function startCluster(settings: ServiceSettings, file: string): Promise<Cluster> {
  cluster.setupPrimary({ exec: file, args: [], serialization: "json" });
  const logger = stderrLogger(settings.logLevel);
  const base = settings.instance === undefined ? "i" : `${settings.instance}-i`;

  const seats: Seat[] = [];
  const door = new FrontDoor(() => seats);
  // Before anything slow: the port is taken early, or refused early.
  const port = await door.open(settings.host, settings.port);
  let stopping = false;

  const health = shared(() => Promise.all(seats.map((seat) => seat.health())));
  const metrics = shared(async () => {
    const texts = await Promise.all(seats.map((seat) => seat.ask("metrics")));
    return texts.filter((text) => text !== undefined);
  });

  const events: SeatEvents = {
    open: () => door.opened(),
    closing() {
      if (stopping) door.close(); // all of them are closing
    },
    returned(sockets) {
      for (const socket of sockets) door.let(socket);
    },
    ended(name, reason, pause) {
      logger.error({ instance: name, reason, pause: Math.round(pause) }, "an instance ended and is started again");
    },
    all: (topic) => (topic === "health" ? health() : metrics()),
    settings: (instance) => ({ ...settings, port, instance }),
  };

  const stop = async (within: number): Promise<void> => {
    stopping = true;
    await Promise.all(seats.map((seat) => seat.stop(within)));
    door.close();
  };
  try {
    for (let number = 1; number <= settings.instances; number++) seats.push(new Seat(`${base}${number}`, events));
    await Promise.all(seats.map((seat) => seat.start()));
  } catch (error) {
    await stop(1000);
    throw error;
  }
  let stopped: Promise<void> | undefined;
  return {
    url: urlOf(settings.host, port),
    health,
    close: () => (stopped ??= stop(settings.drainDelay + settings.drainWindow + grace)),
    kill: () => {
      for (const seat of seats) seat.kill();
    },
  };
}
