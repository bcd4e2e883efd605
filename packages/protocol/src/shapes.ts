import type { PacketType } from "./packets.ts";

/** What a field may hold. The codecs each know how to write and read these, and nothing of single packets. */
export type FieldType =
  | "id" // 1…2^32−1
  | "anyId" // 0…2^32−1
  | "uint" // 0…2^53−1
  | "bool"
  | "channel"
  | "key"
  | "name"
  | "text"
  | "pair" // [string, string]
  | "position"
  | "error"
  | "delivery"
  | "reason"
  | "receipt"
  | "json" // any JSON value
  | "limits" // { name: uint }
  | "items"
  | "members";

/** An option: its type, its number in the binary codec (never reused), and whether it must be there. */
export type OptionShape = readonly [type: FieldType, tag: number, required?: true];

/**
 * One packet's layout: the elements after the word in order, then the options, then `last`.
 * `code` is its number in the binary codec.
 */
export interface Shape {
  readonly word: string;
  readonly code: number;
  readonly fields: readonly (readonly [name: string, type: FieldType])[];
  readonly options?: Readonly<Record<string, OptionShape>>;
  /** What follows the options: the payload, or one more field. */
  readonly last?: "payload" | readonly [name: string, type: FieldType];
  /** The id may be missing (`ping`). */
  readonly bare?: true;
}

const id = ["id", "id"] as const;
const channel = ["channel", "channel"] as const;
const timeout = ["uint", 1] as const;

/** Every packet's layout but `msg`'s, which the codecs write by hand because everything waits for it. */
export const shapes: Readonly<Record<Exclude<PacketType, "msg" | "unknown">, Shape>> = {
  connect: {
    word: "connect",
    code: 2,
    fields: [id],
    options: { token: ["text", 1], resume: ["pair", 2], heartbeat: ["uint", 3] },
  },
  connected: {
    word: "connected",
    code: 3,
    fields: [id],
    options: {
      client: ["text", 1, true],
      secret: ["text", 2, true],
      resumed: ["bool", 3, true],
      instance: ["text", 4, true],
      user: ["text", 5],
      expires: ["uint", 6],
      heartbeat: ["uint", 7, true],
      limits: ["limits", 8, true],
    },
  },
  refresh: { word: "refresh", code: 4, fields: [id], options: { token: ["text", 1, true] } },
  refreshed: { word: "refreshed", code: 5, fields: [id], options: { expires: ["uint", 1] } },
  subscribe: {
    word: "subscribe",
    code: 6,
    fields: [id, channel],
    options: { position: ["position", 1], echo: ["bool", 2], presence: ["bool", 3], info: ["json", 4] },
  },
  subscribed: {
    word: "subscribed",
    code: 7,
    fields: [id],
    options: {
      position: ["position", 1],
      recovered: ["bool", 2],
      reason: ["reason", 3],
      delivery: ["delivery", 4, true],
    },
  },
  unsubscribe: { word: "unsubscribe", code: 8, fields: [id, channel] },
  unsubscribed: { word: "unsubscribed", code: 9, fields: [id] },
  publish: {
    word: "publish",
    code: 10,
    fields: [id, channel],
    options: { key: ["key", 1], again: ["bool", 2] },
    last: "payload",
  },
  published: { word: "published", code: 11, fields: [id], options: { position: ["position", 1] } },
  history: {
    word: "history",
    code: 12,
    fields: [id, channel],
    options: { after: ["position", 1], before: ["position", 2], limit: ["uint", 3, true] },
  },
  historyPage: {
    word: "history",
    code: 13,
    fields: [id],
    options: { position: ["position", 1, true], complete: ["bool", 2, true], reason: ["reason", 3] },
    last: ["items", "items"],
  },
  presence: { word: "presence", code: 14, fields: [id, channel], options: { count: ["bool", 1] } },
  presencePage: {
    word: "presence",
    code: 15,
    fields: [id],
    options: { members: ["uint", 1, true], connections: ["uint", 2, true], stale: ["bool", 3] },
    last: ["list", "members"],
  },
  send: { word: "send", code: 16, fields: [id, ["to", "name"]], options: { timeout }, last: "payload" },
  receipt: { word: "receipt", code: 17, fields: [id, ["receipt", "receipt"]] },
  call: { word: "call", code: 18, fields: [id, ["method", "name"]], options: { timeout }, last: "payload" },
  result: { word: "result", code: 19, fields: [id], options: {}, last: "payload" },
  ping: { word: "ping", code: 20, fields: [id], bare: true },
  pong: { word: "pong", code: 21, fields: [id] },
  position: { word: "position", code: 22, fields: [channel, ["position", "position"]] },
  restarted: {
    word: "restarted",
    code: 23,
    fields: [channel],
    options: { position: ["position", 1, true], reason: ["reason", 2, true] },
  },
  ended: { word: "ended", code: 24, fields: [channel, ["error", "error"]] },
  members: {
    word: "members",
    code: 25,
    fields: [channel],
    options: { snapshot: ["bool", 1], stale: ["bool", 2] },
    last: ["changes", "members"],
  },
  direct: {
    word: "direct",
    code: 26,
    fields: [id],
    options: { from: ["text", 1], user: ["text", 2], time: ["uint", 3, true] },
    last: "payload",
  },
  received: { word: "received", code: 27, fields: [id] },
  error: {
    word: "error",
    code: 28,
    fields: [
      ["id", "anyId"],
      ["error", "error"],
    ],
  },
};
