import cluster from "node:cluster";
import type { ServiceSettings } from "../config/service-config.ts";
import { urlOf } from "../http/listen.ts";
import { stderrLogger } from "../log.ts";
import type { InstanceHealth } from "../readiness.ts";
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

  let requested = settings.port;
  let port = settings.port;
  const seats: Seat[] = [];

  const health = shared(() => Promise.all(seats.map((seat) => seat.health())));
  const metrics = shared(async () => {
    const texts = await Promise.all(seats.map((seat) => seat.ask("metrics")));
    return texts.filter((text) => text !== undefined);
  });

  let setBound!: () => void;
  const bound = new Promise<void>((resolve) => (setBound = resolve));
  const events: SeatEvents = {
    bound(number) {
      port = number;
      setBound();
    },
    ready(number) {
      port = number;
    },
    ended(name, reason, pause) {
      // With its last listener the cluster forgets which port "any" was.
      if (!seats.some((seat) => seat.occupied)) requested = port;
      logger.error({ instance: name, reason, pause: Math.round(pause) }, "an instance ended and is started again");
    },
    all: (topic) => (topic === "health" ? health() : metrics()),
    start: (instance) => ({ settings: { ...settings, port: requested, instance }, bindLast: seats.length > 1 }),
  };

  const stop = async (within: number): Promise<void> => {
    await Promise.all(seats.map((seat) => seat.stop(within)));
  };
  try {
    // The first binds the port before anything slow, the others once they are ready: the port is taken early or refused early.
    const add = (number: number): Promise<void> => {
      const seat = new Seat(`${base}${number}`, events);
      seats.push(seat);
      return seat.start();
    };
    const first = add(1);
    await Promise.race([bound, first]);
    await Promise.all([first, ...Array.from({ length: settings.instances - 1 }, (_, at) => add(at + 2))]);
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
