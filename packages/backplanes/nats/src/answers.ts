/** What JetStream answers. It comes from a broker, so it is checked. */
import { readOffset } from "@zuruf/hub/store";
import type { Msg } from "@nats-io/transport-node";

/** JetStream's own error codes. */
export const codes = {
  noStream: 10_059,
  noMessage: 10_037,
  nameInUse: 10_058,
  wrongLast: 10_071,
  wrongStream: 10_060,
  /** Something else was taken there, and is not stored yet: what servers after 2.9 say. */
  underWay: [10_158, 10_163],
  off: [10_039, 10_076],
  /** A cluster that is not ready yet: no suitable peers, no leader, unavailable. */
  unready: [10_005, 10_008, 10_009],
} as const;
export const nanos = 1_000_000;
/** Milliseconds for which a replica may have been silent to its leader, who hears from it every second. */
export const replicaWithin = 3000;

/** A message as the stream has it. */
export interface Stored {
  readonly seq: number;
  /** Milliseconds since 1970, by the clock of the stream's server. */
  readonly time: number;
  /** Bytes of its data, also where only headers were asked for. */
  readonly size: number;
  readonly headers: Headers | undefined;
  readonly data: Uint8Array;
}
interface Headers {
  /** Empty when there is none. */
  get(name: string): string;
}

export interface StreamState {
  readonly created: string;
  readonly lastSeq: number;
  /** Milliseconds; 0: for ever. */
  readonly maxAge: number;
  readonly replicas: number;
  /** The stream is in a cluster. */
  readonly clustered: boolean;
  /** More than half of its servers answer to their leader. */
  readonly quorum: boolean;
}

/** JetStream said no; `code` is its own. */
export class JetStreamError extends Error {
  override readonly name = "JetStreamError";
  readonly code: number;
  constructor(code: number, message: string) {
    super(message);
    this.code = code;
  }
  get isWrongLast(): boolean {
    return this.code === codes.wrongLast;
  }
  get isNoStream(): boolean {
    return this.code === codes.noStream;
  }
}

export function record(value: unknown): Record<string, unknown> {
  return typeof value === "object" && value !== null ? (value as Record<string, unknown>) : {};
}

export function parse(data: Uint8Array): Record<string, unknown> {
  let answer: Record<string, unknown>;
  try {
    answer = record(JSON.parse(Buffer.from(data).toString()));
  } catch {
    throw new JetStreamError(0, "JetStream answered with something else than JSON");
  }
  if (answer["error"] === undefined) return answer;
  const { err_code: code, code: status, description } = record(answer["error"]);
  const number = typeof code === "number" ? code : Number(status);
  throw new JetStreamError(number, typeof description === "string" ? description : "an error without a description");
}

export function readState(answer: Record<string, unknown>): StreamState {
  const [config, state] = [record(answer["config"]), record(answer["state"])];
  const { last_seq: lastSeq } = state;
  const { created } = answer;
  if (typeof created !== "string" || typeof lastSeq !== "number" || !Number.isSafeInteger(lastSeq))
    throw new JetStreamError(0, "JetStream described its stream without its state");
  const cluster = record(answer["cluster"]);
  const replicas = Number(config["num_replicas"]);
  return {
    created,
    lastSeq,
    maxAge: Number(config["max_age"]) / nanos,
    replicas,
    clustered: typeof cluster["name"] === "string",
    quorum: replicas === 1 || 1 + heard(cluster["replicas"]) > replicas / 2,
  };
}

/** Of the stream's other servers, those that the leader heard of lately. */
function heard(replicas: unknown): number {
  const others: unknown[] = Array.isArray(replicas) ? replicas : [];
  return others.map(record).filter(({ active, offline }) => offline !== true && Number(active) < replicaWithin * nanos)
    .length;
}

export function stored(
  message: Pick<Msg, "data"> & { readonly headers?: Headers },
  seq: number | undefined,
  time: number,
): Stored {
  const { headers, data } = message;
  if (seq === undefined || Number.isNaN(time)) throw new JetStreamError(0, "a message without a sequence or time");
  return { seq, time, size: readOffset(headers?.get("Nats-Msg-Size") ?? "") ?? data.length, headers, data };
}

/** A message as the API's JSON holds it: headers and data in base64. */
export function storedIn({ seq, time, hdrs, data }: Record<string, unknown>): Stored {
  const lines = Buffer.from(typeof hdrs === "string" ? hdrs : "", "base64")
    .toString()
    .split("\r\n");
  const headers = new Map(lines.map((line) => [line.split(":", 1)[0] ?? "", line.slice(line.indexOf(":") + 1).trim()]));
  return stored(
    {
      headers: { get: (name) => headers.get(name) ?? "" },
      data: Buffer.from(typeof data === "string" ? data : "", "base64"),
    },
    readOffset(String(seq)),
    Date.parse(String(time)),
  );
}
