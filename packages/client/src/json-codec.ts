import { type Codec, type Packet, PacketError, type PacketType, type Payload } from "@zuruf/protocol";

/**
 * `zuruf.v1.json` as a client needs it: smaller and faster than `@zuruf/protocol`'s, because it need not keep the data's original text nor fear its server's nesting.
 * What the SDK computes with is checked: words, ids, channels, offsets, positions, errors.
 */
export const jsonCodec: Codec = { name: "zuruf.v1.json", kind: "text", encode, decode };

/** Each packet's elements after its word (docs/protocol.md); `{` is the options object. */
const shapes: Partial<Record<PacketType, string>> = {
  connect: "id {",
  connected: "id {",
  refresh: "id {",
  refreshed: "id {",
  subscribe: "id channel {",
  subscribed: "id {",
  unsubscribe: "id channel",
  unsubscribed: "id",
  publish: "id channel { payload",
  published: "id {",
  history: "id channel {",
  historyPage: "id { items",
  presence: "id channel {",
  presencePage: "id { list",
  send: "id to { payload",
  receipt: "id receipt",
  call: "id method { payload",
  result: "id { payload",
  ping: "id",
  pong: "id",
  position: "channel position",
  restarted: "channel {",
  ended: "channel error",
  members: "channel { changes",
  direct: "id { payload",
  received: "id",
  error: "id error",
};

/** Words that a request shares with its answer. A client reads only the answer. */
const answers: Partial<Record<string, PacketType>> = { history: "historyPage", presence: "presencePage" };

type Fields = Record<string, unknown>;

function encode(packet: Packet): string {
  const { type, ...rest } = packet as Packet & Fields;
  const fields = (shapes[type] ?? "").split(" ");
  const payload = rest["payload"] as Payload | undefined;
  const options: Fields = { ...rest };
  for (const field of fields) delete options[field];
  if (payload?.format === "binary") options["format"] = "binary";
  let text = `["${type}"`;
  for (const field of fields) {
    if (field === "{") text += `,${JSON.stringify(options)}`;
    else if (field === "payload" && payload !== undefined) text += `,${dataText(payload)}`;
    else if (rest[field] !== undefined) text += `,${JSON.stringify(rest[field])}`;
  }
  return `${text}]`;
}

function decode(message: string | Uint8Array): Packet {
  const elements: unknown = JSON.parse(message as string);
  need(Array.isArray(elements) && typeof elements[0] === "string", "it is no array that starts with a word");
  const [word, ...values] = elements as unknown as [string, ...unknown[]];
  if (word === "msg") return msgOf(values);
  const type = answers[word] ?? (word as PacketType);
  const shape = Object.hasOwn(shapes, type) ? shapes[type] : undefined;
  if (shape === undefined) return { type: "unknown", word };
  const fields = shape.split(" ");
  const options = values[fields.indexOf("{")];
  const packet: Fields = { ...(options as Fields | undefined), type };
  for (const [at, field] of fields.entries()) {
    const value = values[at];
    if (field === "payload") packet[field] = payloadOf(options as Fields, value);
    else if (field === "items") packet[field] = (value as unknown[][]).map(itemOf);
    // A ping may come without an id.
    else if (field !== "{" && value !== undefined) packet[field] = value;
  }
  for (const [field, isRight] of Object.entries(checks)) {
    if (fields.includes(field) || (packet[field] !== undefined && fields.includes("{")))
      need(isRight(packet[field]) || word === "ping", `${word}: ${field} is missing or wrong`);
  }
  return packet as unknown as Packet;
}

function msgOf(values: readonly unknown[]): Packet {
  const [channel, offset, info] = values;
  need(typeof channel === "string" && isUint(offset) && values.length > 2, "msg: channel, offset or data is wrong");
  const packet = { type: "msg", channel, offset } as const;
  if (values.length === 3) return { ...packet, payload: payloadOf({}, info) };
  const payload = payloadOf(info as Fields, values[3]);
  return { ...packet, ...((info as Fields)["time"] !== undefined && { info: info as { time: number } }), payload };
}

function itemOf([offset, info, data]: readonly unknown[]): {
  offset: number;
  info: { time: number };
  payload: Payload;
} {
  need(isUint(offset), "history: an offset is wrong");
  return { offset, info: info as { time: number }, payload: payloadOf(info as Fields, data) };
}

function isUint(value: unknown): value is number {
  return Number.isSafeInteger(value) && (value as number) >= 0;
}

const checks: Readonly<Record<string, (value: unknown) => boolean>> = {
  id: isUint,
  channel: (value) => typeof value === "string",
  position: (value) => Array.isArray(value) && typeof value[0] === "string" && isUint(value[1]),
  error: (value) => Array.isArray(value) && typeof value[0] === "string" && isUint(value[3]),
};

function need(fine: boolean, otherwise: string): asserts fine {
  if (!fine) throw new PacketError(otherwise);
}

function dataText(payload: Payload): string {
  if (payload.format === "json") return payload.text;
  let binary = "";
  for (const byte of payload.bytes) binary += String.fromCharCode(byte);
  return JSON.stringify({ $bytes: btoa(binary) });
}

function payloadOf({ format }: Fields, value: unknown): Payload {
  if (format === "binary")
    return { format, bytes: Uint8Array.from(atob((value as { $bytes: string }).$bytes), (unit) => unit.charCodeAt(0)) };
  return {
    format: "json",
    value,
    get text() {
      return JSON.stringify(value);
    },
  };
}
