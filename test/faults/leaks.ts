/** Restarts a broker many times under load, and looks at what the instances and the broker hold before and after. */
import { Scene } from "./cell.ts";
import type { Resources } from "./fleet.ts";
import type { BrokerName } from "./brokers.ts";

export interface Leaks {
  readonly summary: string;
  readonly broken: readonly string[];
}

/** Restarts before the first look: by then everything that is kept for good is there. */
const warm = 5;
/** Bytes of heap that an instance may have more: what collections leave differs by so much from one time to the next. */
const heapSlack = 4 * 2 ** 20;
/** Connections that a question for health has open just then. */
const descriptorSlack = 4;

interface Held {
  readonly instances: readonly Resources[];
  readonly objects: Readonly<Record<string, number>>;
}

async function look({ instances, broker }: Scene): Promise<Held> {
  return {
    instances: await Promise.all(instances.map((instance) => instance.resources())),
    objects: await broker.objects(),
  };
}

export async function lookForLeaks(backplane: BrokerName, rounds: number): Promise<Leaks> {
  const scene = await Scene.open(backplane, 2);
  const { broker, load, checker } = scene;
  let [slowest, total] = [0, 0];
  const restart = async (): Promise<void> => {
    await broker.stop();
    await broker.start();
    const since = performance.now();
    const heal = (await load.level(since, 60_000)) - since;
    slowest = Math.max(slowest, heal);
    total += heal;
  };
  try {
    for (let round = 0; round < warm; round++) await restart();
    const before = await look(scene);
    for (let round = warm; round < Math.max(rounds, warm + 1); round++) await restart();
    const after = await look(scene);
    const forgets = (scene.kind.forgets as readonly string[]).includes("stop");
    checker.finish(await load.finish(30_000), forgets);
    for (const instance of scene.instances) for (const said of await instance.complaints()) checker.fault(said);
    const seconds = (ms: number): string => (ms / 1000).toFixed(1);
    const { sent, acked, lost, doubled } = checker.counts;
    const healed = `healed in ${seconds(total / rounds)} s on average, at most ${seconds(slowest)} s`;
    return {
      summary: `${sent} sent, ${acked} acked, ${lost} lost, ${doubled} doubled; ${healed}; ${grown(before, after)}`,
      broken: [...checker.faults, ...compare(before, after)],
    };
  } catch (error) {
    return { summary: "the run ended early", broken: [...checker.faults, String(error)] };
  } finally {
    await scene.close();
  }
}

function grown(before: Held, after: Held): string {
  const heap = ({ instances }: Held): string => instances.map(({ heap }) => (heap / 2 ** 20).toFixed(1)).join(" and ");
  const files = ({ instances }: Held): string => instances.map(({ descriptors }) => descriptors).join(" and ");
  const objects = (held: Held): string => JSON.stringify(held.objects);
  return `heap ${heap(before)} → ${heap(after)} MiB; descriptors ${files(before)} → ${files(after)}; in the broker ${objects(before)} → ${objects(after)}`;
}

function compare(before: Held, after: Held): string[] {
  const broken: string[] = [];
  for (const [i, then] of before.instances.entries()) {
    const now = after.instances[i];
    if (now === undefined) continue;
    const more = (key: keyof Resources, slack: number): void => {
      if (now[key] > then[key] + slack) broken.push(`i${i + 1}: ${key} grew from ${then[key]} to ${now[key]}`);
    };
    more("heap", heapSlack);
    more("descriptors", descriptorSlack);
    more("handles", descriptorSlack);
    more("connections", 0);
    more("channels", 0);
  }
  for (const [kind, count] of Object.entries(before.objects)) {
    const now = after.objects[kind] ?? 0;
    if (now > count) broken.push(`the broker has ${now} ${kind}, and had ${count}`);
  }
  return broken;
}
