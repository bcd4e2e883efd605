/** What one subscribed connection is to presence: client id, user, when it came (ms since 1970), and what it says about itself. */
export interface Entry {
  readonly client: string;
  readonly user?: string;
  readonly since: number;
  readonly info?: unknown;
}
/** All entries that one instance has in one channel, as of a version. */
export interface ChannelState {
  readonly channel: string;
  readonly version: number;
  readonly entries: readonly Entry[];
  /** Entries that came in the parts before, which these come on top of; absent: this is the first part. */
  readonly before?: number;
  /** The rest is in the next part. */
  readonly more?: boolean;
}
/** How many, and a hash over which: equal on both sides when nothing was missed. */
export type Digest = readonly [count: number, hash: number];

/** What instances say to each other. */
export type ControlMessage =
  /** A session was resumed here: older connections of it are to close. */
  | { readonly type: "taken"; readonly client: string; readonly life: number }
  /** "I live": to all, every heartbeat. `hello`: I am new, say so too. */
  | { readonly type: "beat"; readonly incarnation: string; readonly hello?: boolean }
  /** I am leaving: my members may come back elsewhere, and nobody need wait for me. */
  | { readonly type: "bye" }
  /** To each peer after the beat: what I want of it, and what it has of me. */
  | { readonly type: "digest"; readonly wants: Digest; readonly has: Digest }
  /** I am interested in these channels' presence; `all`: in no others, unless the next messages say so. Answered with `state`. */
  | { readonly type: "want"; readonly channels: readonly string[]; readonly all?: boolean }
  | { readonly type: "unwant"; readonly channels: readonly string[] }
  /** I have lost what you want of me: say it again. */
  | { readonly type: "again" }
  /** I have said that these channels are vacated, because who followed them is gone: who has members there says that they are occupied. */
  | { readonly type: "vacated"; readonly channels: readonly string[] }
  /** My members in channels that you want. */
  | { readonly type: "state"; readonly channels: readonly ChannelState[] }
  /** One change; `previous` is the version it changes, 0 for none. */
  | {
      readonly type: "change";
      readonly channel: string;
      readonly previous: number;
      readonly version: number;
      readonly set?: Entry;
      readonly gone?: string;
    }
  /** A question, with `data` behind it. */
  | { readonly type: "ask"; readonly id: number; readonly kind: string; readonly args: unknown }
  | { readonly type: "reply"; readonly id: number; readonly value: unknown };

type Check = (value: unknown) => boolean;
const text: Check = (value) => typeof value === "string";
const uint: Check = (value) => Number.isSafeInteger(value) && (value as number) >= 0;
const maybe =
  (check: Check): Check =>
  (value) =>
    value === undefined || check(value);
const flag = maybe((value) => typeof value === "boolean");
const listOf =
  (check: Check): Check =>
  (value) =>
    Array.isArray(value) && value.every(check);
const object =
  (checks: Readonly<Record<string, Check>>): Check =>
  (value) =>
    typeof value === "object" &&
    value !== null &&
    Object.entries(checks).every(([name, check]) => check((value as Record<string, unknown>)[name]));
const digest: Check = (value) =>
  Array.isArray(value) && value.length === 2 && value.every((it) => Number.isSafeInteger(it));
const entry = object({ client: text, user: maybe(text), since: uint });

/** What each message must hold: a broker's data is not trusted. */
const schema = new Map<unknown, Check>(
  Object.entries({
    taken: object({ client: text, life: uint }),
    beat: object({ incarnation: text, hello: flag }),
    bye: object({}),
    digest: object({ wants: digest, has: digest }),
    want: object({ channels: listOf(text), all: flag }),
    unwant: object({ channels: listOf(text) }),
    again: object({}),
    vacated: object({ channels: listOf(text) }),
    state: object({
      channels: listOf(
        object({ channel: text, version: uint, entries: listOf(entry), before: maybe(uint), more: flag }),
      ),
    }),
    change: object({ channel: text, previous: uint, version: uint, set: maybe(entry), gone: maybe(text) }),
    ask: object({ id: uint, kind: text }),
    reply: object({ id: uint }),
  } satisfies Record<ControlMessage["type"], Check>),
);

const encoder = new TextEncoder();
const decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

/** Four bytes of length (big endian), the message as JSON, then `data`. */
export function encodeControl(message: ControlMessage, data: Uint8Array = new Uint8Array(0)): Uint8Array {
  const head = encoder.encode(JSON.stringify(message));
  const bytes = new Uint8Array(4 + head.length + data.length);
  new DataView(bytes.buffer).setUint32(0, head.length);
  bytes.set(head, 4);
  bytes.set(data, 4 + head.length);
  return bytes;
}

/** Undefined where it is none, or one that this version does not know. */
export function decodeControl(bytes: Uint8Array): { message: ControlMessage; data: Uint8Array } | undefined {
  if (bytes.length < 4) return undefined;
  const end = 4 + new DataView(bytes.buffer, bytes.byteOffset).getUint32(0);
  if (end > bytes.length) return undefined;
  try {
    const message = JSON.parse(decoder.decode(bytes.subarray(4, end))) as { type?: unknown } | null;
    if (typeof message !== "object" || schema.get(message?.type)?.(message) !== true) return undefined;
    return { message: message as ControlMessage, data: bytes.subarray(end) };
  } catch {
    return undefined;
  }
}
