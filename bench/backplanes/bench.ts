import { fileURLToPath } from "node:url";

import { chart } from "../measure/chart.ts";
import { memoryBytes, treeCpuSeconds, Worker } from "../measure/process.ts";
import { generatorProgram } from "../measure/programs.ts";
import { memoryPerConnection, type Run, throughputOf } from "../measure/run.ts";
import { run, say, type Suite } from "../measure/suite.ts";
import { type Broker, type BrokerName, flushTime, startBroker } from "./brokers.ts";
import type { Found } from "./generator.ts";
import type { Load } from "./load.ts";
import { commandOf, missing, type Peer, peers } from "./peers.ts";
import { type Test, testsWith } from "./tests.ts";

const generatorFile = fileURLToPath(new URL("generator.ts", import.meta.url));

/** As long as the period in which heads are compared, so that it is part of what idle channels cost. */
const idleSeconds = 10;

/** Seconds of load before measuring, so that what is hot is compiled: in the first second that is a fifth of what the instances do, and nothing of what they do later. */
const warmUp = 1.5;

/** Each broker is started when it is first needed, and serves all that use it. */
class Brokers {
  readonly #started = new Map<BrokerName, Promise<Broker>>();

  get(name: BrokerName): Promise<Broker> {
    let broker = this.#started.get(name);
    if (broker === undefined) this.#started.set(name, (broker = startBroker(name)));
    return broker;
  }

  async stop(): Promise<void> {
    const all = await Promise.allSettled(this.#started.values());
    await Promise.all(all.flatMap((result) => (result.status === "fulfilled" ? [result.value.stop()] : [])));
  }
}

interface Group {
  readonly brokers: readonly Broker[];
  readonly instances: readonly Worker[];
  readonly generator: Worker;
  readonly versions: Readonly<Record<string, string>>;
}

/** Starts fresh instances and a fresh generator, and gives the generator its load. Nobody has a core of their own: all share the machine. */
async function withGroup<T>(
  brokers: Brokers,
  peer: Peer,
  { kind, channels, subscribers, inFlight, size }: Test,
  { seconds, check }: { readonly seconds: number; readonly check: boolean },
  use: (group: Group) => Promise<T>,
): Promise<T> {
  const used = await Promise.all(peer.brokers.map((name) => brokers.get(name)));
  const brokerPids = used.flatMap(({ pids }) => pids);
  const urls = used.map(({ url }) => url);
  const count = kind === "idle" ? 1 : 2;
  const instances = Array.from({ length: count }, () => new Worker(commandOf(peer, urls)));
  const generator = new Worker(generatorProgram(generatorFile, true));
  try {
    const listening = instances.map((one) => one.answer<{ port: number; versions: Record<string, string> }>(30_000));
    const all = await Promise.all(listening);
    const { dialect, ordered } = peer;
    const period = { serverPids: [...instances.map(({ pid }) => pid), ...brokerPids], warmUp, seconds };
    const ports = all.map(({ port }) => port);
    const load: Load = { ...period, ports, dialect, kind, channels, subscribers, inFlight, size, ordered, check };
    generator.send(JSON.stringify(load));
    return await use({ brokers: used, instances, generator, versions: all[0]?.versions ?? {} });
  } finally {
    await Promise.all([...instances, generator].map((one) => one.stop()));
  }
}

async function publishing({ generator }: Group, seconds: number): Promise<Run> {
  const found = await generator.answer<Found>(60_000 + seconds * 10_000);
  return { ...throughputOf(found), publicationsPerSecond: found.rate };
}

/** CPU milliseconds per second. */
async function idleCpu(pids: readonly number[]): Promise<number> {
  const before = treeCpuSeconds(pids);
  await new Promise((resolve) => setTimeout(resolve, idleSeconds * 1000));
  return ((treeCpuSeconds(pids) - before) * 1000) / idleSeconds;
}

async function idling({ brokers, instances, generator }: Group, channels: number): Promise<Run> {
  const [server] = instances;
  if (server === undefined) throw new Error("no instance runs");
  const brokerPids = brokers.flatMap((broker) => broker.pids);
  const pids = [server.pid, ...brokerPids];
  const idle = await idleCpu(pids);
  const before = memoryBytes(brokerPids);
  const memory = await memoryPerConnection({ server, generator }, channels);
  const brokerMemory = (memoryBytes(brokerPids) - before) / channels;
  return { ...memory, brokerMemory, idleCpu: idle, openCpu: await idleCpu(pids) };
}

function suiteOn(brokers: Brokers, tests: readonly Test[]): Suite<Test, Peer> {
  const verified = new Map<string, Readonly<Record<string, string>>>();
  return {
    name: "backplanes",
    tests,
    peers,
    slow: ["zuruf-rabbitmq", "zuruf-rabbitmq-redis", "zuruf-redis-live", "zuruf-jetstream", "socket.io-postgres"],
    baseline: "socket.io-redis",
    whole: tests.length,
    missing,
    // Socket.IO has no channels that cost anything while nobody publishes; what keeps history has heads to compare.
    able: ({ dialect, history }, { kind }) => kind === "publish" || (dialect === "zuruf" && history),
    // The tests differ in numbers alone: what answers rightly in one does so in all.
    verify: async (peer, test) => {
      const known = verified.get(peer.name);
      if (known !== undefined) return known;
      const period = { seconds: 1, check: true };
      const few = { ...test, kind: "publish", channels: 2 } as const;
      const versions = await withGroup(brokers, peer, few, period, async (group) => {
        await group.generator.answer(60_000);
        return group.versions;
      });
      verified.set(peer.name, versions);
      return versions;
    },
    measure: (peer, test, seconds) =>
      withGroup(brokers, peer, test, { seconds, check: false }, (group) =>
        test.kind === "publish" ? publishing(group, seconds) : idling(group, test.channels),
      ),
    chart: (results) =>
      chart(results, {
        title: "Deliveries per CPU-second, two instances and their broker together",
        baseline: "Socket.IO, Redis",
        label: (name) => tests.find((test) => test.name === name)?.chart,
        series: [
          { peer: "zuruf-redis", title: "Zuruf, Redis", colour: "#2f81f7" },
          { peer: "zuruf-postgres", title: "Zuruf, PostgreSQL", colour: "#79a8e8" },
          { peer: "zuruf-jetstream", title: "Zuruf, JetStream", colour: "#3fa66b" },
          { peer: "zuruf-nats", title: "Zuruf, NATS", colour: "#7cc49a" },
          { peer: "zuruf-rabbitmq-redis", title: "Zuruf, RabbitMQ + Redis", colour: "#9c6ade" },
          { peer: "zuruf-rabbitmq", title: "Zuruf, RabbitMQ", colour: "#bfa0ea" },
          { peer: "socket.io-redis-streams", title: "Socket.IO, Redis streams", colour: "#c27c2c" },
          { peer: "socket.io-postgres", title: "Socket.IO, PostgreSQL", colour: "#8c8c8c" },
        ],
      }),
  };
}

/** Measures two instances on each backplane beside Socket.IO and its adapters. @returns the process's exit code. */
export async function backplanes(args: readonly string[]): Promise<number> {
  const brokers = new Brokers();
  try {
    const flush = flushTime();
    say(`One flush to the disk takes ${flush.toFixed(2)} ms`);
    return await run(suiteOn(brokers, testsWith(flush)), args);
  } finally {
    await brokers.stop();
  }
}
