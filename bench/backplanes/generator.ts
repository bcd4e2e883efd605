/** The generator of the backplanes' load. Its clients use no library, but raw sockets and frames made ahead of time. */
import { mustStayOpen, type Wire } from "../measure/connect.ts";
import { type Dialect, dialects, openPublisher, openSubscribers } from "../measure/dialects.ts";
import { expectAll, expectSome } from "../measure/expect.ts";
import { type Ring, textRing } from "../measure/frames.ts";
import { generator, type Pause } from "../measure/generator.ts";
import { type Measured, Measurement, seconds } from "../measure/measurement.ts";
import { Sender } from "../measure/sender.ts";
import { percentile } from "../measure/statistics.ts";
import { Flow, type Watcher } from "./flow.ts";
import { channelName, type Load } from "./load.ts";

/** Latencies that are kept at most. */
const mostLatencies = 1_000_000;

interface Line {
  readonly messages: Ring;
  readonly sender: Sender;
  readonly subscribers: readonly Wire[];
}

/** Each channel's publisher and subscribers. The ring's places are the ids of publications. */
async function open(load: Load, dialect: Dialect): Promise<Line[]> {
  const rings = Array.from({ length: load.channels }, (_, channel) =>
    textRing(load.size, 512, (place, text) => dialect.publish(channelName(channel), text, place + 1, false)),
  );
  return Promise.all(
    rings.map(async (messages, channel): Promise<Line> => {
      const { ports } = load;
      const perPort = ports.map((port) => openSubscribers(load.subscribers, port, dialect, [channelName(channel)]));
      const subscribers = (await Promise.all(perPort)).flat();
      const publisher = await openPublisher(ports[channel % ports.length] ?? 0, dialect);
      mustStayOpen([publisher, ...subscribers]);
      publisher.receive = () => {}; // its acknowledgements
      return { messages, sender: new Sender(publisher, messages), subscribers };
    }),
  );
}

/** What a run of the load finds. */
export interface Found extends Measured {
  /** Publications that arrived everywhere, per second, as fast as it goes. */
  readonly rate: number;
}

async function publish(load: Load, dialect: Dialect): Promise<Found> {
  const measurement = new Measurement(load);
  const lines = await open(load, dialect);
  let phase: "fast" | "ending" | "paced" = "fast";
  let timed = false;
  const latencies: number[] = [];
  const watcher: Watcher = {
    arrived(latency) {
      measurement.count++;
      if (timed && latencies.length < mostLatencies) latencies.push(latency);
    },
    complete(flow, count) {
      if (phase === "fast") flow.publish(count);
    },
  };
  const flows = lines.map(({ sender, subscribers }) => new Flow(sender, subscribers, watcher));
  for (const flow of flows) flow.publish(load.inFlight);
  const measured = await measurement.run();
  phase = "ending";
  for (let waited = 0; flows.some(({ underWay }) => underWay > 0); waited++) {
    if (waited > 1000) throw new Error("publications did not arrive within 10 s");
    await seconds(0.01);
  }
  const rate = measured.count / measured.seconds / (load.subscribers * load.ports.length);
  phase = "paced";
  // The first fifth is not counted: what was busy comes to rest.
  setTimeout(() => (timed = true), 200 * load.seconds);
  await pace(flows, rate / 2, load.inFlight, load.seconds * 1.2);
  return { ...measured, rate, p50: percentile(latencies, 0.5), p99: percentile(latencies, 0.99) };
}

/** Publishes at this rate over all flows in turn, whatever arrives; as many at once per flow as were under way before, so that it is half of the same load. */
async function pace(flows: readonly Flow[], rate: number, together: number, duration: number): Promise<void> {
  const begin = performance.now();
  for (let bursts = 0; ;) {
    const elapsed = (performance.now() - begin) / 1000;
    if (elapsed > duration) return;
    for (const due = (elapsed * rate) / together; bursts < due; bursts++) {
      if (flows[bursts % flows.length]?.publish(together) !== true)
        throw new Error("half of the highest rate is too fast");
    }
    await seconds(0.001);
  }
}

async function check(load: Load, dialect: Dialect): Promise<{ checked: number }> {
  const lines = await open({ ...load, subscribers: 1 }, dialect);
  const total = 256;
  await Promise.all(
    lines.map(async ({ messages: { payloads }, sender, subscribers }) => {
      const text = (place: number): string => payloads[place]?.toString("latin1") ?? "";
      const expect = load.ordered ? expectAll : expectSome;
      const all = subscribers.map((wire) => expect(wire, total, dialect.publication, text, () => {}));
      for (let sent = 0; sent < total; sent += load.inFlight) sender.send(load.inFlight);
      await Promise.all(all);
    }),
  );
  return { checked: lines.length * total * load.ports.length };
}

/** Says so when a hundred channels are open, so that code is loaded, waits for a line, opens all, and says so. */
async function idle(load: Load, dialect: Dialect, pause: Pause): Promise<void> {
  const each = 500;
  const names = (from: number, count: number): string[] =>
    Array.from({ length: count }, (_, i) => channelName(from + i));
  const [port = 0] = load.ports;
  mustStayOpen(await openSubscribers(1, port, dialect, names(0, 100)));
  await pause({ open: 100 });
  for (let from = 100; from < load.channels + 100; from += each) {
    mustStayOpen(await openSubscribers(1, port, dialect, names(from, each)));
  }
  await pause({ open: load.channels + 100 });
}

await generator((given, pause) => {
  const load = given as Load;
  const dialect = dialects[load.dialect];
  if (load.check) return check(load, dialect);
  return load.kind === "publish" ? publish(load, dialect) : idle(load, dialect, pause);
});
