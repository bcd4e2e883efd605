import { fromBase64, toBase64 } from "./base64.ts";
import { maxDepth, PacketError, type Codec } from "./codec.ts";
import { checks, isId, isObject, isUint } from "./field-checks.ts";
import { readPublish } from "./json-publish.ts";
import { depthWithin, lastElement } from "./json-scan.ts";
import { repeatedJson } from "./json-text.ts";
import { isChannelName } from "./names.ts";
import type { HistoryItem, Packet, PacketOf, PacketType, Payload, PublicationInfo } from "./packets.ts";
import { shapes, type Shape } from "./shapes.ts";

type Fields = Record<string, unknown>;
type Entry = readonly [type: PacketType, shape: Shape, options: readonly [string, (v: unknown) => boolean, boolean][]];

/** A word's layouts: two where request and answer share it, told apart by whether a channel name follows the id. */
const byWord = new Map<string, Entry[]>();
for (const [type, shape] of Object.entries(shapes) as [PacketType, Shape][]) {
  const options = Object.entries(shape.options ?? {}).map(
    ([name, [kind, , required]]) =>
      [name, checks[kind], required === true] as [string, (v: unknown) => boolean, boolean],
  );
  byWord.set(shape.word, [...(byWord.get(shape.word) ?? []), [type, shape, options]]);
}

const msgToChannel = repeatedJson(`["msg",`, ",");
const byClient = repeatedJson(`"client":`, ",");
const positionInEpoch = repeatedJson(`,{"position":[`, ",");

/** `zuruf.v1.json`: a packet is one JSON array in a text message (docs/protocol.md). */
export const jsonCodec: Codec = {
  name: "zuruf.v1.json",
  kind: "text",
  encode(packet: Packet): string {
    if (packet.type === "msg") return encodeMsg(packet);
    if (packet.type === "published") return encodePublished(packet);
    if (packet.type === "unknown")
      throw new PacketError(`a packet of the unknown word ${packet.word} cannot be encoded`);
    const { word, fields, options, last } = shapes[packet.type];
    const values = packet as unknown as Fields;
    let text = `["${word}"`;
    for (const [name] of fields) {
      if (values[name] !== undefined) text += `,${JSON.stringify(values[name])}`;
    }
    if (options !== undefined) {
      let inner = "";
      for (const name in options) {
        if (values[name] !== undefined) inner += `${inner === "" ? "" : ","}"${name}":${JSON.stringify(values[name])}`;
      }
      if (last === "payload" && (values["payload"] as Payload).format === "binary")
        inner += `${inner === "" ? "" : ","}"format":"binary"`;
      text += `,{${inner}}`;
    }
    if (last === "payload") return `${text},${dataText(values["payload"] as Payload)}]`;
    if (last === undefined) return `${text}]`;
    const value = values[last[0]];
    return `${text},${last[1] === "items" ? itemsText(value as readonly HistoryItem[]) : JSON.stringify(value)}]`;
  },

  decode(message: string | Uint8Array): Packet {
    if (typeof message !== "string") throw new PacketError("zuruf.v1.json speaks in text messages", 0, true);
    const publish = readPublish(message);
    if (publish !== undefined) return publish;
    if (message.length > maxDepth && !depthWithin(message, maxDepth))
      throw new PacketError(`arrays and objects more than ${maxDepth} deep`);
    let array: unknown;
    try {
      array = JSON.parse(message);
    } catch {
      throw new PacketError("the message is not JSON");
    }
    if (!Array.isArray(array)) throw new PacketError("a packet is an array");
    const elements: readonly unknown[] = array;
    const word = elements[0];
    if (typeof word !== "string") throw new PacketError("a packet starts with a word");
    const id = isId(elements[1]) ? elements[1] : 0;
    if (word === "msg") return decodeMsg(elements, message);
    const entries = byWord.get(word);
    if (entries === undefined) return { type: "unknown", word, ...(id === 0 ? {} : { id }) };
    const [type, shape, options] = (
      entries.length > 1 && typeof elements[2] !== "string" ? entries[1] : entries[0]
    ) as Entry;
    const packet: Fields = { type };
    if (shape.bare === true && elements.length === 1) return packet as unknown as Packet;
    let at = 1;
    for (const [name, kind] of shape.fields) {
      if (!checks[kind](elements[at]))
        throw new PacketError(`${word}: element ${at} (${name}) is missing or wrong`, id);
      packet[name] = elements[at++];
    }
    if (shape.options === undefined) return packet as unknown as Packet;
    const given = elements[at] === undefined && shape.last === undefined ? {} : elements[at];
    if (!isObject(given)) throw new PacketError(`${word}: element ${at} (the options) must be an object`, id);
    at++;
    for (const [name, check, required] of options) {
      const value = given[name];
      if (value === undefined) {
        if (required) throw new PacketError(`${word}: ${name} is missing`, id);
      } else if (check(value)) packet[name] = value;
      else throw new PacketError(`${word}: ${name} has a wrong value`, id);
    }
    if (shape.last === undefined) return packet as unknown as Packet;
    if (elements.length <= at) throw new PacketError(`${word}: element ${at} (the data) is missing`, id);
    if (shape.last === "payload")
      packet["payload"] = payloadOf(given["format"], elements[at], () => lastElement(message, at), id);
    else {
      const [name, kind] = shape.last;
      if (!checks[kind](elements[at])) throw new PacketError(`${word}: element ${at} (${name}) is wrong`, id);
      packet[name] = kind === "items" ? (elements[at] as unknown[]).map(itemOf) : elements[at];
    }
    if (shape.last === "payload" && elements.length > at + 1) throw new PacketError(`${word}: data must be last`, id);
    return packet as unknown as Packet;
  },
};

function dataText(payload: Payload): string {
  return payload.format === "json" ? payload.text : `{"$bytes":"${toBase64(payload.bytes)}"}`;
}

function infoText(info: PublicationInfo, payload: Payload): string {
  let text = "{";
  if (info.client !== undefined) text += byClient(info.client);
  if (info.user !== undefined) text += `"user":${JSON.stringify(info.user)},`;
  if (info.key !== undefined) text += `"key":${JSON.stringify(info.key)},`;
  if (payload.format === "binary") text += `"format":"binary",`;
  return `${text}"time":${info.time}}`;
}

function encodeMsg({ channel, offset, info, payload }: PacketOf<"msg">): string {
  const head = `${msgToChannel(channel)}${offset},`;
  if (info !== undefined) return `${head}${infoText(info, payload)},${dataText(payload)}]`;
  return `${head}${payload.format === "binary" ? `{"format":"binary"},` : ""}${dataText(payload)}]`;
}

function encodePublished({ id, position }: PacketOf<"published">): string {
  if (position === undefined) return `["published",${id},{}]`;
  return `["published",${id}${positionInEpoch(position[0])}${position[1]}]}]`;
}

function itemsText(items: readonly HistoryItem[]): string {
  return `[${items.map(({ offset, info, payload }) => `[${offset},${infoText(info, payload)},${dataText(payload)}]`).join(",")}]`;
}

function decodeMsg(elements: readonly unknown[], message: string): Packet {
  const [, channel, offset, given] = elements;
  if (!isChannelName(channel) || !isUint(offset) || elements.length < 4 || elements.length > 5)
    throw new PacketError("msg: channel, offset or data is missing or wrong");
  if (elements.length === 4) {
    return { type: "msg", channel, offset, payload: { format: "json", text: lastElement(message, 3), value: given } };
  }
  if (!isObject(given)) throw new PacketError("msg: element 3 (the info) must be an object");
  const payload = payloadOf(given["format"], elements[4], () => lastElement(message, 4), 0);
  const info = given["time"] === undefined ? undefined : infoOf(given);
  return { type: "msg", channel, offset, ...(info && { info }), payload };
}

function payloadOf(format: unknown, value: unknown, text: () => string, id: number): Payload {
  if (format === undefined || format === "json") return { format: "json", text: text(), value };
  if (format !== "binary") throw new PacketError(`format must be "json" or "binary"`, id);
  const base64 = isObject(value) ? value["$bytes"] : undefined;
  const bytes = typeof base64 === "string" ? fromBase64(base64) : undefined;
  if (bytes === undefined) throw new PacketError(`binary data is {"$bytes":"base64"}`, id);
  return { format: "binary", bytes };
}

function infoOf(value: Record<string, unknown>): PublicationInfo {
  const { time, client, user, key } = value;
  const texts = [client, user, key].every((text) => text === undefined || typeof text === "string");
  if (!texts || !isUint(time)) throw new PacketError("the publication's info is wrong");
  const info: { client?: string; user?: string; time: number; key?: string } = { time };
  if (client !== undefined) info.client = client as string;
  if (user !== undefined) info.user = user as string;
  if (key !== undefined) info.key = key as string;
  return info;
}

function itemOf(value: unknown): HistoryItem {
  const [offset, info, data] = Array.isArray(value) ? (value as readonly unknown[]) : [];
  if (!isUint(offset) || !isObject(info) || data === undefined) throw new PacketError("history: an item is wrong");
  return { offset, info: infoOf(info), payload: payloadOf(info["format"], data, () => JSON.stringify(data), 0) };
}
