import type { Floor, ReportedTest } from "../measure/report.ts";
import type { Load } from "./load.ts";

/** One measurement that every peer is put through. */
export interface Test extends Pick<Load, "kind" | "connections" | "inFlight" | "bursts" | "size">, ReportedTest {
  readonly quick?: boolean;
  /** What the chart in the documentation calls it; absent: it is not shown. */
  readonly chart?: string;
}

const throughput = { measures: "throughput", bursts: false } as const;

/** Of Socket.IO, and of the engine alone. */
const floors = (ratio: number, aim: number): Floor[] =>
  ["zuruf", "zuruf-live"].flatMap((subject) => [
    { subject, against: "socket.io", ratio, aim },
    { subject, against: "bare", ratio: 0.85 },
  ]);

export const tests: readonly Test[] = [
  ...([64, 1024] as const).flatMap((size): Test[] => {
    const [short, long] = size === 64 ? ["64", "64 B"] : ["1k", "1 KiB"];
    const shape = { ...throughput, kind: "fanout", connections: 1000, size } as const;
    return [
      {
        ...shape,
        name: `fanout-${short}-1`,
        title: `fan-out to 1,000, ${long}, window 1`,
        inFlight: 1,
        quick: size === 64,
        chart: `fan-out ${long}, window 1`,
        floors: floors(1.3, 2),
      },
      {
        ...shape,
        name: `fanout-${short}-2`,
        title: `fan-out to 1,000, ${long}, window 2`,
        inFlight: 2,
        chart: `fan-out ${long}, window 2`,
        floors: floors(2.4, 3),
      },
      {
        ...shape,
        name: `fanout-${short}-16`,
        title: `fan-out to 1,000, ${long}, bursts of 16`,
        inFlight: 16,
        bursts: true,
        quick: size === 64,
        chart: `fan-out ${long}, bursts of 16`,
        floors: floors(12, 18),
      },
    ];
  }),
  {
    ...throughput,
    kind: "ack",
    name: "ack-request",
    title: "publish and its acknowledgement, 64 B, 64 clients, one at a time",
    connections: 64,
    inFlight: 1,
    size: 64,
    chart: "publish with ack",
    floors: [{ subject: "zuruf", against: "socket.io", ratio: 1 }],
  },
  {
    ...throughput,
    kind: "ack",
    name: "ack-pipelined",
    title: "publish and its acknowledgement, 64 B, 32 clients, 32 under way each",
    connections: 32,
    inFlight: 32,
    size: 64,
    quick: true,
    chart: "pipelined publish with ack",
    floors: [{ subject: "zuruf", against: "socket.io", ratio: 3, aim: 6 }],
  },
  {
    kind: "idle",
    name: "idle-heap",
    title: "JS heap per idle client with one subscription, 5,000 clients",
    measures: "memory",
    connections: 5000,
    inFlight: 1,
    bursts: false,
    size: 64,
    floors: [{ subject: "zuruf", against: "socket.io", ratio: 1 / 3 }],
  },
];
