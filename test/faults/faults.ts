/** What happens to brokers, to the way to them, and to instances. */
import type { Scene } from "./cell.ts";
import type { Instance } from "./fleet.ts";
import { patience, type Says } from "./truth.ts";

export interface Outcome {
  /** When what was broken was whole again: healing is measured from here. */
  readonly since: number;
  /** The instances that it happened to; the others must not notice. */
  readonly affected: readonly Instance[];
  readonly says: Says;
}

export interface Fault {
  readonly title: string;
  readonly instances: number;
  /** Whether clients may lose their connection. */
  readonly reconnects: boolean;
  run(scene: Scene): Promise<Outcome>;
}

/** Keeps it broken until every instance that it happened to is out of the balancer. */
async function untilNotReady(affected: readonly Instance[]): Promise<void> {
  const end = performance.now() + 3 * patience;
  while (affected.some(({ latest }) => latest?.ready) && performance.now() < end)
    await new Promise((resolve) => setTimeout(resolve, 50));
}

/** @param broken does the damage; what it returns repairs it. */
async function outage(
  affected: readonly Instance[],
  broken: () => Promise<() => Promise<void> | void>,
): Promise<Outcome> {
  const began = performance.now();
  const repair = await broken();
  const down = performance.now();
  await untilNotReady(affected);
  await repair();
  return { since: performance.now(), affected, says: { began, down } };
}

export const faults = {
  stop: {
    title: "broker stopped, started again when every instance had left the balancer",
    instances: 2,
    reconnects: false,
    run: ({ instances, broker }) =>
      outage(instances, async () => {
        await broker.stop();
        return () => broker.start();
      }),
  },
  kill: {
    title: "broker killed with -9 and started at once",
    instances: 2,
    reconnects: false,
    async run({ instances, broker }) {
      await broker.kill();
      await broker.start();
      return { since: performance.now(), affected: instances, says: "anything" };
    },
  },
  freeze: {
    title: "broker frozen (SIGSTOP) for longer than every deadline",
    instances: 2,
    reconnects: false,
    run: ({ instances, broker }) =>
      outage(instances, async () => {
        await broker.freeze(true);
        return () => broker.freeze(false);
      }),
  },
  blackhole: {
    title: "one instance's way to the broker swallows everything",
    instances: 2,
    reconnects: false,
    run: ({ first, proxy }) =>
      outage([first], async () => {
        proxy.swallow = () => true;
        return () => {
          proxy.swallow = () => false;
        };
      }),
  },
  deaf: {
    title: "one instance's subscriptions deliver nothing, while commands are answered",
    instances: 2,
    reconnects: false,
    async run({ first, proxy, kind }) {
      const since = performance.now();
      proxy.deafen(kind.listener);
      return { since, affected: [first], says: "anything" };
    },
  },
  dropped: {
    title: "all subscriptions ended by the broker",
    instances: 2,
    reconnects: false,
    async run({ instances, broker }) {
      const since = performance.now();
      await broker.drop();
      return { since, affected: instances, says: "anything" };
    },
  },
  "instance-kill": {
    title: "an instance killed with -9 while it publishes; another takes its place",
    instances: 3,
    reconnects: true,
    async run(scene) {
      const { first } = scene;
      const since = performance.now();
      await first.kill();
      scene.leave(first);
      await scene.join();
      return { since, affected: [first], says: "anything" };
    },
  },
  rolling: {
    title: "rolling restart of all instances",
    instances: 3,
    reconnects: true,
    async run(scene) {
      const old = [...scene.instances];
      for (const instance of old) {
        await scene.join();
        scene.leave(instance);
        await instance.terminate();
      }
      return { since: performance.now(), affected: old, says: "anything" };
    },
  },
} as const satisfies Record<string, Fault>;
export type FaultName = keyof typeof faults;
