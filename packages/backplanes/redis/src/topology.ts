/** Which servers there are, and which of them a hash slot is on: one server, a primary that Sentinels name, or a cluster. */
import { BackplaneError } from "@zuruf/hub";
import { connect, discard, type Client, type Driver } from "./driver.ts";
import { explain } from "./failures.ts";
import { printAddress, type Address, type Target } from "./options.ts";
import { within } from "./patience.ts";

export interface Topology {
  /** Each server that holds slots, by its printed address. */
  readonly servers: ReadonlyMap<string, Address>;
  readonly cluster: boolean;
  /** The printed address; undefined when nobody serves the slot. */
  serverOf(slot: number): string | undefined;
}

/** A connection that is there already, and can be asked. */
export interface Known {
  readonly address: Address;
  readonly commands: Client;
}

/** Asks who is who: of a cluster whom it knows, for it may have moved away from all of its seeds; then the seeds. */
export async function discover(
  driver: Driver,
  target: Target,
  deadline: number,
  known: readonly Known[] = [],
): Promise<Topology> {
  const [seed] = target.seeds;
  if (seed === undefined) throw new BackplaneError("unusable", "the Redis URL names no host");
  if (target.kind === "server") return single(seed);
  if (target.kind === "sentinel") return single(await askSentinels(driver, target, deadline));
  // Anyone, so that one whose own picture is old does not decide for ever.
  const someone = known[Math.floor(Math.random() * known.length)];
  if (someone !== undefined) {
    try {
      return await askSlots(someone.commands, someone.address, deadline);
    } catch {
      // It is on its way out, which its owner will hear; the seeds may know more.
    }
  }
  return askCluster(driver, target, deadline);
}

export function single(address: Address): Topology {
  const name = printAddress(address);
  return { servers: new Map([[name, address]]), cluster: false, serverOf: () => name };
}

/** Asks one after the other, and resolves with the first answer; rejects with the last reason when nobody has one. */
async function askEach<T>(
  addresses: readonly Address[],
  open: (address: Address) => Promise<Client>,
  ask: (client: Client, address: Address) => Promise<T>,
): Promise<T> {
  let reason: unknown;
  for (const address of addresses) {
    let client: Client | undefined;
    try {
      client = await open(address);
      return await ask(client, address);
    } catch (error) {
      reason = explain(printAddress(address), error);
      // A wrong password will be as wrong at the next one.
      if (reason instanceof BackplaneError && reason.code === "unusable") break;
    } finally {
      if (client !== undefined) discard(client);
    }
  }
  throw reason;
}

function answerWithin<T>(promise: Promise<T>, ms: number): Promise<T> {
  return within(promise, ms, () => new Error(`no answer within ${ms} ms`));
}

function ignore(): void {
  // A short-lived connection: what breaks it rejects the call that it is there for.
}

async function askSentinels(driver: Driver, target: Target, deadline: number): Promise<Address> {
  const settings = { credentials: target.sentinelCredentials, tls: target.tls, database: 0, deadline };
  return askEach(
    target.seeds,
    (address) => connect(driver, address, "zuruf:sentinel", settings, ignore),
    async (client, address) => {
      const answer: unknown = await answerWithin(
        client.sendCommand(["SENTINEL", "GET-MASTER-ADDR-BY-NAME", target.primary]),
        deadline,
      );
      if (!Array.isArray(answer))
        throw new Error(
          `the Sentinel at ${printAddress(address)} knows no primary named ${JSON.stringify(target.primary)}`,
        );
      return readNode(answer[0], answer[1], address);
    },
  );
}

async function askCluster(driver: Driver, target: Target, deadline: number): Promise<Topology> {
  const settings = { credentials: target.credentials, tls: target.tls, database: 0, deadline };
  return askEach(
    target.seeds,
    (address) => connect(driver, address, "zuruf:topology", settings, ignore),
    (client, address) => askSlots(client, address, deadline),
  );
}

async function askSlots(client: Client, address: Address, deadline: number): Promise<Topology> {
  return readSlots(await answerWithin(client.sendCommand(["CLUSTER", "SLOTS"]), deadline), address);
}

/** CLUSTER SLOTS: `[first, last, [host, port, id, …], replicas…]` per range. */
export function readSlots(answer: unknown, asked: Address): Topology {
  const servers = new Map<string, Address>();
  const owners = Array.from<string | undefined>({ length: 16_384 });
  if (!Array.isArray(answer)) throw new Error("CLUSTER SLOTS answered something else than a list");
  for (const range of answer as unknown[]) {
    if (!Array.isArray(range) || !Array.isArray(range[2]))
      throw new Error("CLUSTER SLOTS answered a range without a server");
    const [first, last] = [Number(range[0]), Number(range[1])];
    if (!(first >= 0 && last < 16_384)) throw new Error("CLUSTER SLOTS answered slots that do not exist");
    const address = readNode(range[2][0], range[2][1], asked);
    const name = printAddress(address);
    servers.set(name, address);
    owners.fill(name, first, last + 1);
  }
  if (servers.size === 0) throw new Error("the cluster has no slots: it is not set up yet");
  return { servers, cluster: true, serverOf: (slot) => owners[slot] };
}

/** An unknown host (empty, null or `?`) means: the one that was asked. */
function readNode(host: unknown, port: unknown, asked: Address): Address {
  const name = typeof host === "string" && host !== "" && host !== "?" ? host : asked.host;
  const number = Number(port);
  if (!(number > 0 && number < 65_536)) throw new Error(`Redis named a server without a port: ${String(port)}`);
  return { host: name, port: number };
}
