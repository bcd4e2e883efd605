import type { Position } from "@zuruf/hub";
import { ZurufError } from "@zuruf/protocol";
import { z } from "zod";
import type { Zuruf } from "../zuruf.ts";

/** One thing that a backend can ask for over HTTP. */
export interface Operation {
  readonly method: "GET" | "POST";
  /** Below `/api/v1`. */
  readonly path: string;
  readonly summary: string;
  /** GET: the query's values; POST: the body. */
  readonly input: z.ZodType;
  readonly output: z.ZodType;
  /** @param input checked. */
  readonly run: (zuruf: Zuruf, input: unknown) => Promise<unknown>;
}

/** Ties what `run` takes and gives to the schemas. */
function operation<I extends z.ZodType, O extends z.ZodType>(
  method: Operation["method"],
  path: string,
  summary: string,
  input: I,
  output: O,
  run: (zuruf: Zuruf, input: z.output<I>) => Promise<z.input<O>>,
): Operation {
  return { method, path, summary, input, output, run: (zuruf, checked) => run(zuruf, checked as z.output<I>) };
}

const name = z.string().min(1);
const offset = z.int().min(0);
const position = z.object({ epoch: z.string(), offset });
const data = z.unknown().refine((value) => value !== undefined, "is missing");
const timeout = z.int().min(1).max(60_000).optional();
const receipt = z.enum(["delivered", "offline", "unknown"]);
const target = z.union([z.strictObject({ client: name }), z.strictObject({ user: name })]);
const reach = z.object({ connections: z.int(), missing: z.array(z.string()).readonly() });
// A query's values are texts.
const count = z.coerce.number().int().min(1).max(1000).optional();
const page = z.strictObject({ instance: name.optional(), after: name.optional(), limit: count });
const historyQuery = z.strictObject({
  channel: name,
  limit: count,
  epoch: z.string().optional(),
  after: z.coerce.number().int().min(0).optional(),
  before: z.coerce.number().int().min(0).optional(),
});

const connection = z.object({
  client: z.string(),
  user: z.string().optional(),
  instance: z.string(),
  address: z.string(),
  subscriptions: z.int(),
  bufferedBytes: z.int(),
  expires: z.number().optional(),
});
const member = z.object({
  member: z.string().describe("user:ID, or a client id without a user"),
  connections: z.array(z.object({ client: z.string(), info: z.unknown().optional() })),
});
const publication = z.object({
  offset,
  time: z.number(),
  data: z.unknown(),
  client: z.string().optional(),
  user: z.string().optional(),
  key: z.string().optional(),
});
const listOf = <T extends z.ZodType>(
  item: T,
): z.ZodObject<{ items: z.ZodReadonly<z.ZodArray<T>>; next: z.ZodOptional<z.ZodString> }> =>
  z.object({ items: z.array(item).readonly(), next: z.string().optional() });

/** Everything below `/api/v1`. Routes and the OpenAPI document come from here. */
export const operations: readonly Operation[] = [
  operation(
    "POST",
    "/publish",
    "Publish to a channel in the server's name. A key makes a retry safe.",
    z.strictObject({ channel: name, data, key: name.optional() }),
    z.object({ position: position.optional() }),
    async (zuruf, { channel, data, key }) => {
      const at = await zuruf.publish(channel, data, key === undefined ? {} : { key });
      return at === undefined ? {} : { position: at };
    },
  ),
  operation(
    "POST",
    "/send",
    "Send a direct message to a client id or, as user:ID, to a user.",
    z.strictObject({ to: name, data, timeout }),
    z.object({ receipt }),
    async (zuruf, { to, data, timeout }) => ({
      receipt: await zuruf.send(to, data, timeout === undefined ? {} : { timeout }),
    }),
  ),
  operation(
    "POST",
    "/broadcast",
    "Send the same direct message to many users; each one's receipt.",
    z.strictObject({ users: z.array(name).min(1).max(1000), data, timeout }),
    z.object({ receipts: z.record(z.string(), receipt) }),
    async (zuruf, { users, data, timeout }) => ({
      receipts: Object.fromEntries(await zuruf.broadcast(users, data, timeout === undefined ? {} : { timeout })),
    }),
  ),
  operation(
    "GET",
    "/history",
    "Publications of a channel with history: the newest, or those after or before an offset of an epoch.",
    historyQuery,
    z.object({
      publications: z.array(publication).readonly(),
      position,
      complete: z.boolean(),
      reason: z.string().optional(),
    }),
    async (zuruf, query) => zuruf.history(query.channel, range(query)),
  ),
  operation(
    "GET",
    "/presence",
    "Who is in a presence channel, over all instances.",
    z.strictObject({ channel: name, limit: z.coerce.number().int().min(0).max(1000).optional() }),
    z.object({
      members: z.int(),
      connections: z.int(),
      stale: z.boolean(),
      list: z.array(member),
    }),
    async (zuruf, { channel, limit }) => {
      const { list, ...numbers } = await zuruf.presence(channel, limit === undefined ? {} : { limit });
      return {
        ...numbers,
        list: list.map(([member, connections]) => ({
          member,
          connections: connections.map(([client, info]) => ({ client, info })),
        })),
      };
    },
  ),
  operation(
    "POST",
    "/disconnect",
    "Close the connections of a client or a user, which do not return by themselves.",
    target,
    reach,
    (zuruf, who) => zuruf.disconnect(who),
  ),
  operation(
    "POST",
    "/revoke",
    "End the sessions of a client or a user: the connections are closed, and a new token decides whether they may return.",
    target,
    reach,
    (zuruf, who) => zuruf.revoke(who),
  ),
  operation(
    "GET",
    "/channels",
    "A page of an instance's channels with subscribers.",
    page,
    listOf(z.object({ channel: z.string(), subscriptions: z.int() })),
    async (zuruf, query) => answered(await zuruf.channels(given(query)), query.instance),
  ),
  operation(
    "GET",
    "/connections",
    "A page of an instance's sessions.",
    page,
    listOf(connection),
    async (zuruf, query) => answered(await zuruf.connections(given(query)), query.instance),
  ),
  operation(
    "GET",
    "/instances",
    "The instances that live.",
    z.strictObject({}),
    z.object({ instance: z.string(), instances: z.array(z.string()) }),
    async (zuruf) => ({ instance: zuruf.instance, instances: zuruf.instances() }),
  ),
];

function range(query: z.output<typeof historyQuery>): { limit?: number; after?: Position; before?: Position } {
  const { limit, epoch, after, before } = query;
  if ((after !== undefined || before !== undefined) && epoch === undefined)
    throw new ZurufError("badRequest", "an offset means nothing without the epoch that it came with: give both");
  if (after !== undefined && before !== undefined) throw new ZurufError("badRequest", "give after or before, not both");
  return {
    ...(limit !== undefined && { limit }),
    ...(after !== undefined && { after: { epoch: epoch as string, offset: after } }),
    ...(before !== undefined && { before: { epoch: epoch as string, offset: before } }),
  };
}

/** Without the keys that were not given. */
function given(query: z.output<typeof page>): { instance?: string; after?: string; limit?: number } {
  return Object.fromEntries(Object.entries(query).filter(([, value]) => value !== undefined));
}

function answered<T>(page: T | undefined, instance: string | undefined): T {
  if (page === undefined) throw new ZurufError("timeout", `instance ${instance} did not answer`);
  return page;
}
