/** One cell of the table: real instances, a real broker, real clients under load, one fault, and all promises checked. */
import { Proxy } from "../brokers/proxy.ts";
import { backplaneUrl, brokerKinds, openBroker, type Broker, type BrokerKind, type BrokerName } from "./brokers.ts";
import { Checker, type Counts } from "./checker.ts";
import { Balancer, Instance } from "./fleet.ts";
import { Load } from "./load.ts";
import { faults, type FaultName } from "./faults.ts";
import { checkHealth } from "./truth.ts";

export interface Result {
  readonly fault: FaultName;
  readonly backplane: BrokerName;
  readonly counts: Counts;
  /** Seconds until everybody published and heard again; undefined: never. */
  readonly heal: number | undefined;
  /** Every promise that was broken. */
  readonly broken: readonly string[];
}

/** Within this, everybody publishes and hears again: one head-check period. Milliseconds. */
const healsWithin = 10_000;

/** Where a fault happens. */
export class Scene {
  readonly broker: Broker;
  readonly kind: BrokerKind;
  readonly checker: Checker = new Checker();
  readonly instances: Instance[] = [];
  readonly #balancer: Balancer;
  /** Between the first instance and the broker. */
  readonly proxy: Proxy;
  #load: Load | undefined;
  #names = 0;

  private constructor(broker: Broker, kind: BrokerKind, balancer: Balancer, proxy: Proxy) {
    this.broker = broker;
    this.kind = kind;
    this.#balancer = balancer;
    this.proxy = proxy;
  }

  static async open(backplane: BrokerName, size: number): Promise<Scene> {
    const broker = await openBroker(backplane);
    const proxy = await Proxy.start(Number(new URL(broker.url).port));
    const scene = new Scene(broker, brokerKinds[backplane], await Balancer.start(), proxy);
    try {
      await scene.join(proxy);
      await Promise.all(Array.from({ length: size - 1 }, () => scene.join()));
      const url = `ws://127.0.0.1:${scene.#balancer.port}/ws`;
      scene.#load = await Load.start(url, scene.checker, { publishers: 2 * size, subscribers: 2 * size });
      return scene;
    } catch (error) {
      await scene.close();
      throw error;
    }
  }

  get load(): Load {
    if (this.#load === undefined) throw new Error("the load has not started");
    return this.#load;
  }
  get first(): Instance {
    return this.instances[0] as Instance;
  }

  /** One more instance, which takes connections from now on. */
  async join(proxy?: Proxy): Promise<void> {
    const instance = await Instance.start(`i${++this.#names}`, backplaneUrl(this.broker, proxy));
    this.instances.push(instance);
    this.#balancer.targets = [...this.#balancer.targets, instance];
  }

  /** It takes no new connections from now on. */
  leave(instance: Instance): void {
    this.#balancer.targets = this.#balancer.targets.filter((target) => target !== instance);
  }

  /** Everybody has heard something that was sent `ms` from now. */
  async run(ms: number): Promise<void> {
    await this.load.level(performance.now() + ms, ms + 20_000);
  }

  async close(): Promise<void> {
    this.#load?.close();
    await this.broker.freeze(false).catch(() => undefined); // it may be gone
    await Promise.all(this.instances.map((instance) => instance.process.end().then(() => instance.end())));
    await Promise.all([this.#balancer.close(), this.proxy.close()]);
    await this.broker.dispose();
  }
}

export async function runCell(backplane: BrokerName, name: FaultName): Promise<Result> {
  const fault = faults[name];
  const scene = await Scene.open(backplane, fault.instances);
  const { checker, load, instances } = scene;
  let heal: number | undefined;
  try {
    await scene.run(1000);
    await scene.broker.keep();
    await scene.run(1000);
    const { since, affected, says } = await fault.run(scene);
    try {
      heal = ((await load.level(since, 60_000)) - since) / 1000;
      if (heal * 1000 > healsWithin) checker.fault(`healed after ${heal.toFixed(1)} s`);
      await scene.run(500);
    } catch (error) {
      checker.fault(`not healed: ${String(error)}`);
    }
    if (!fault.reconnects && load.reconnects > 0)
      checker.fault(`${load.reconnects} clients had to reconnect, though only the broker was gone`);
    const forgets = (scene.kind.forgets as readonly string[]).includes(name);
    checker.finish(await load.finish(30_000), forgets);
    for (const instance of instances) checkHealth(instance, affected.includes(instance) ? says : "nothing", checker);
    for (const instance of instances) for (const said of await instance.complaints()) checker.fault(said);
  } catch (error) {
    checker.fault(`the run ended early: ${String(error)}`);
  } finally {
    await scene.close();
  }
  return { fault: name, backplane, counts: checker.counts, heal, broken: checker.faults };
}
