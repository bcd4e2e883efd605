import { open, openMany, type Target, type Wire } from "./connect.ts";
import { maskedFrame } from "./frames.ts";
import { MessageReader } from "./reader.ts";

/** How the clients of a server with channels (or rooms) speak: just enough to be one without a library. */
export interface Dialect {
  readonly path: string;
  /** Where subscribers connect, if elsewhere. */
  readonly subscriberPath?: string;
  readonly protocol?: string;
  /** What makes a new connection a client: what it says, and how the answer begins. An empty line listens only. */
  readonly greeting: readonly (readonly [say: string, answer: string])[];
  /** Undefined: the path says it already. */
  subscribe?(channel: string): readonly [say: string, answer: string];
  /** @param id from 1, of the request. @param wanted whether its acknowledgement is; some protocols always have one. */
  publish(channel: string, text: string, id: number, wanted: boolean): string;
  /** The data of a publication that arrived; undefined when this is something else. */
  readonly publication: (message: string) => unknown;
  /** The id in an acknowledgement; undefined when this is something else. */
  readonly acknowledged: (message: string) => number | undefined;
}

const json = (text: string): unknown[] => JSON.parse(text) as unknown[];

/** The data in a publication as Zuruf sends it. */
const dataOfMsg = (message: string): unknown => (message.startsWith('["msg",') ? json(message).at(-1) : undefined);

export const dialects: Readonly<Record<"zuruf" | "socket.io" | "bare", Dialect>> = {
  /** docs/protocol.md. */
  zuruf: {
    path: "/ws",
    protocol: "zuruf.v1.json",
    greeting: [['["connect",1,{"heartbeat":120000}]', '["connected",1,']],
    subscribe: (channel) => [`["subscribe",2,${JSON.stringify(channel)},{}]`, '["subscribed",2,'],
    publish: (channel, text, id) => `["publish",${id},${JSON.stringify(channel)},{},${JSON.stringify(text)}]`,
    publication: dataOfMsg,
    acknowledged: (message) => (message.startsWith('["published",') ? (json(message)[1] as number) : undefined),
  },
  /** Engine.IO protocol 4 and Socket.IO protocol 5: "0" open, "40" connect, "42" event, "43" acknowledgement. */
  "socket.io": {
    path: "/socket.io/?EIO=4&transport=websocket",
    greeting: [
      ["", "0{"],
      ["40", "40{"],
    ],
    subscribe: (channel) => [`420${JSON.stringify(["join", channel])}`, "430["],
    publish: (channel, text, id, wanted) => `42${wanted ? id : ""}${JSON.stringify(["publish", channel, text])}`,
    publication: (message) => (message.startsWith('42["message",') ? json(message.slice(2))[1] : undefined),
    acknowledged: (message) => {
      const id = /^43(\d+)\[/.exec(message)?.[1];
      return id === undefined ? undefined : Number(id);
    },
  },
  /** The engine alone: the path says who subscribes, and each message goes to them as it is. It is what Zuruf would send, so that both send the same bytes. */
  bare: {
    path: "/",
    subscriberPath: "/subscribe",
    greeting: [],
    publish: (channel, text, id) =>
      `["msg",${JSON.stringify(channel)},${1000 + id},{"client":"${"c".repeat(22)}","time":1700000000000},${JSON.stringify(text)}]`,
    publication: dataOfMsg,
    acknowledged: () => undefined,
  },
};

export type DialectName = keyof typeof dialects;

/** One text message, masked as a client must. */
export function textFrame(text: string): Buffer {
  return maskedFrame(1, false, Buffer.from(text), 0x5a17c3e9);
}

/** Says something, and resolves when an answer that begins as it should has come. */
function ask(wire: Wire, reader: MessageReader, say: string, answer: string): Promise<void> {
  return new Promise((resolve, reject) => {
    wire.closed = () => reject(new Error(`the server closed the connection instead of answering ${say}`));
    wire.receive = (chunk, length) => {
      for (const { payload } of reader.take(Buffer.from(chunk.subarray(0, length)))) {
        if (payload.toString().startsWith(answer)) resolve();
        else reject(new Error(`${say} was answered with ${payload.toString().slice(0, 200)}`));
      }
    };
    if (say !== "") wire.write(textFrame(say));
  });
}

/** Makes a new connection a client that is subscribed to these channels. */
async function greet(wire: Wire, dialect: Dialect, channels: readonly string[]): Promise<void> {
  const reader = new MessageReader();
  const subscriptions = channels.flatMap((channel) => {
    const pair = dialect.subscribe?.(channel);
    return pair === undefined ? [] : [pair];
  });
  for (const [say, answer] of [...dialect.greeting, ...subscriptions]) await ask(wire, reader, say, answer);
  wire.closed = () => {};
}

function targetOf(port: number, dialect: Dialect, subscribes: boolean): Target {
  const path = subscribes ? (dialect.subscriberPath ?? dialect.path) : dialect.path;
  return { port, path, compression: "off", ...(dialect.protocol === undefined ? {} : { protocol: dialect.protocol }) };
}

/** Many clients that are subscribed to the same channels. */
export function openSubscribers(
  count: number,
  port: number,
  dialect: Dialect,
  channels: readonly string[],
): Promise<Wire[]> {
  return openMany(count, targetOf(port, dialect, true), (wire) => greet(wire, dialect, channels));
}

/** A client that is subscribed to nothing. */
export async function openPublisher(port: number, dialect: Dialect): Promise<Wire> {
  const wire = await open(targetOf(port, dialect, false));
  await greet(wire, dialect, []);
  return wire;
}
