import type { Bound, Floor, ReportedTest } from "../measure/report.ts";
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

/** What keeps a promise about the time from publishing to delivery, at half of the highest rate. */
const prompt = ["redis", "postgres", "jetstream", "nats", "rabbitmq", "rabbitmq-redis"].map((name) => `zuruf-${name}`);

const publish = { kind: "publish", size: 128, measures: "throughput" } as const;

/** @param flush milliseconds of one flush to the disk: PostgreSQL may take two of them longer. */
export function testsWith(flush: number): readonly Test[] {
  const bounds = prompt.map((subject): Bound => {
    const most = subject === "zuruf-postgres" ? 10 + 2 * flush : 10;
    return { subject, of: "p99", most };
  });
  return [
    {
      ...publish,
      name: "subscribers-1",
      title: "256 channels, 1 subscriber per channel and instance, 8 publications under way per channel",
      channels: 256,
      subscribers: 1,
      inFlight: 8,
      quick: true,
      chart: "1 subscriber each",
      floors,
      bounds,
    },
    {
      ...publish,
      name: "subscribers-100",
      title: "16 channels, 100 subscribers per channel and instance, 16 publications under way per channel",
      channels: 16,
      subscribers: 100,
      inFlight: 16,
      chart: "100 subscribers each",
      floors,
      bounds,
      // Opening 3,200 connections takes longer than measuring.
      rounds: 3,
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
      rounds: 1,
    },
  ];
}
