import { fieldCodecs, readInfo, readPayload, writeInfo, writePayload } from "./binary/fields.ts";
import { Reader } from "./binary/reader.ts";
import { Writer } from "./binary/writer.ts";
import { PacketError, type Codec } from "./codec.ts";
import { checks, isId } from "./field-checks.ts";
import { isChannelName } from "./names.ts";
import type { Packet, PacketOf, PacketType, Payload } from "./packets.ts";
import { shapes, type FieldType, type Shape } from "./shapes.ts";

type Fields = Record<string, unknown>;

/** The code of `msg`, which comes most and is laid out by hand. */
const msg = 1;

interface Entry {
  readonly type: PacketType;
  readonly shape: Shape;
  readonly byTag: ReadonlyMap<number, readonly [name: string, type: FieldType]>;
  readonly required: readonly string[];
}
const byCode = new Map<number, Entry>();
for (const [type, shape] of Object.entries(shapes) as [PacketType, Shape][]) {
  const options = Object.entries(shape.options ?? {});
  byCode.set(shape.code, {
    type,
    shape,
    byTag: new Map(options.map(([name, [kind, tag]]) => [tag, [name, kind]])),
    required: options.filter(([, [, , required]]) => required === true).map(([name]) => name),
  });
}

const writer = new Writer();

/** `zuruf.v1.bin`: a packet is one binary message, and bytes travel as bytes (docs/protocol.md has the layout). */
export const binaryCodec: Codec = {
  name: "zuruf.v1.bin",
  kind: "binary",
  encode(packet: Packet): Uint8Array {
    if (packet.type === "msg") return encodeMsg(packet);
    if (packet.type === "unknown")
      throw new PacketError(`a packet of the unknown word ${packet.word} cannot be encoded`);
    const { code, fields, options, last } = shapes[packet.type];
    const values = packet as unknown as Fields;
    writer.begin();
    writer.byte(code);
    for (const [name, type] of fields) fieldCodecs[type].write(writer, values[name] ?? 0);
    if (options !== undefined) writeOptions(options, values);
    if (last === "payload") writePayload(writer, values["payload"] as Payload);
    else if (last !== undefined) fieldCodecs[last[1]].write(writer, values[last[0]]);
    return writer.take();
  },

  decode(message: string | Uint8Array): Packet {
    if (typeof message === "string") throw new PacketError("zuruf.v1.bin speaks in binary messages", 0, true);
    const reader = new Reader(message);
    const code = reader.byte();
    if (code === msg) return decodeMsg(reader);
    const entry = byCode.get(code);
    if (entry === undefined) {
      // Requests have odd and pushes even codes above 127, so that one who does not know them can tell whom to answer.
      const id = code > 127 && code % 2 === 1 ? reader.uint() : 0;
      return { type: "unknown", word: `#${code}`, ...(isId(id) && { id }) };
    }
    const packet: Fields = { type: entry.type };
    try {
      readPacket(reader, entry, packet);
    } catch (error) {
      const { id } = packet;
      throw error instanceof PacketError && isId(id) ? new PacketError(error.message, id) : error;
    }
    return packet as unknown as Packet;
  },
};

function writeOptions(options: NonNullable<Shape["options"]>, values: Fields): void {
  for (const name in options) {
    const value = values[name];
    if (value === undefined) continue;
    const [type, tag] = options[name] as [FieldType, number];
    writer.uint(tag);
    writer.sized(() => {
      fieldCodecs[type].write(writer, value);
    });
  }
  writer.byte(0);
}

function readPacket(reader: Reader, { shape, byTag, required }: Entry, packet: Fields): void {
  const { word, fields, last } = shape;
  for (const [name, type] of fields) {
    const value = fieldCodecs[type].read(reader);
    if (shape.bare === true && value === 0) continue;
    if (!checks[type](value)) throw new PacketError(`${word}: ${name} is wrong`);
    packet[name] = value;
  }
  if (shape.options === undefined) return;
  const mayEnd = last === undefined;
  for (let tag = readTag(reader, mayEnd); tag !== 0; tag = readTag(reader, mayEnd)) {
    const body = reader.bytes(reader.uint());
    const option = byTag.get(tag);
    if (option === undefined) continue;
    const [name, type] = option;
    const value = fieldCodecs[type].read(new Reader(body));
    if (!checks[type](value)) throw new PacketError(`${word}: ${name} has a wrong value`);
    packet[name] = value;
  }
  for (const name of required) if (packet[name] === undefined) throw new PacketError(`${word}: ${name} is missing`);
  if (last === "payload") packet["payload"] = readPayload(reader);
  else if (last !== undefined) {
    const value = fieldCodecs[last[1]].read(reader);
    if (!checks[last[1]](value)) throw new PacketError(`${word}: ${last[0]} is wrong`);
    packet[last[0]] = value;
  }
}

/** @param mayEnd a list of options that nothing follows may end with the message. */
function readTag(reader: Reader, mayEnd: boolean): number {
  return mayEnd && reader.done ? 0 : reader.uint();
}

function encodeMsg({ channel, offset, info, payload }: PacketOf<"msg">): Uint8Array {
  writer.begin();
  writer.byte(msg);
  writer.text(channel);
  writer.uint(offset);
  writeInfo(writer, info);
  writePayload(writer, payload);
  return writer.take();
}

function decodeMsg(reader: Reader): Packet {
  const channel = reader.text();
  if (!isChannelName(channel)) throw new PacketError("msg: the channel is wrong");
  const offset = reader.uint();
  const info = readInfo(reader);
  return { type: "msg", channel, offset, ...(info && { info }), payload: readPayload(reader) };
}
