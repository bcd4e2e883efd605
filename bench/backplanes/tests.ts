import type { Floor, ReportedTest } from "../measure/report.ts";
import type { Load } from "./load.ts";

export interface Test extends Pick<Load, "kind" | "channels" | "subscribers" | "inFlight" | "size">, ReportedTest {
  readonly quick?: boolean;
  readonly chart?: string;
}

/** Against Socket.IO, whose Redis adapter keeps nothing; and against the transaction per publication that one writes first. */
const floors: readonly Floor[] = [
  { subject: "zuruf-redis", against: "socket.io-redis", ratio: 2 },
  { subject: "zuruf-redis", against: "socket.io-redis-streams", ratio: 4 },
  { subject: "zuruf-postgres", against: "postgres-each", ratio: 8, aim: 20 },
];

/** One publisher per channel: Zuruf stores its publications one after the other, so many channels make many publications at once. */
const publish = { kind: "publish", size: 128, measures: "throughput" } as const;

export const tests: readonly Test[] = [
  {
    ...publish,
    name: "subscribers-1",
    title: "256 channels, 1 subscriber per channel and instance, 4 publications under way per channel",
    channels: 256,
    subscribers: 1,
    inFlight: 4,
    quick: true,
    chart: "1 subscriber per channel and instance",
    floors,
  },
  {
    ...publish,
    name: "subscribers-100",
    title: "16 channels, 100 subscribers per channel and instance, 16 publications under way per channel",
    channels: 16,
    subscribers: 100,
    inFlight: 16,
    chart: "100 subscribers per channel and instance",
    floors,
  },
  {
    kind: "idle",
    name: "idle-channels",
    title:
      "JS heap per open channel, one subscriber each, 10,000 channels; CPU of instance and broker while nothing happens",
    measures: "memory",
    channels: 10_000,
    subscribers: 1,
    inFlight: 1,
    size: 64,
    floors: [],
  },
];
