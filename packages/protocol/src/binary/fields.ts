import { maxDepth, PacketError } from "../codec.ts";
import { depthWithin } from "../json-scan.ts";
import type { HistoryItem, Payload, PublicationInfo, WirePosition } from "../packets.ts";
import type { WireError } from "../errors.ts";
import type { FieldType } from "../shapes.ts";
import { Reader, utf8 } from "./reader.ts";
import type { Writer } from "./writer.ts";

/** How a field's value is written and read. What is read is checked afterwards, by the same checks as in JSON. */
interface FieldCodec {
  write(writer: Writer, value: unknown): void;
  read(reader: Reader): unknown;
}

const uint: FieldCodec = {
  write: (writer, value) => {
    writer.uint(value as number);
  },
  read: (reader) => reader.uint(),
};
const text: FieldCodec = {
  write: (writer, value) => {
    writer.text(value as string);
  },
  read: (reader) => reader.text(),
};
const json: FieldCodec = {
  write: (writer, value) => {
    writer.text(JSON.stringify(value));
  },
  read: (reader) => parse(reader.text()),
};
/** A word by its place in the list; what is not in the list is read as no word, and fails its check. */
const word = (...words: readonly string[]): FieldCodec => ({
  write: (writer, value) => {
    writer.byte(words.indexOf(value as string));
  },
  read: (reader) => words[reader.byte()],
});
const bool: FieldCodec = {
  write: (writer, value) => {
    writer.byte(value === true ? 1 : 0);
  },
  read: (reader) => [false, true][reader.byte()],
};

export const fieldCodecs: Readonly<Record<FieldType, FieldCodec>> = {
  id: uint,
  anyId: uint,
  uint,
  bool,
  channel: text,
  key: text,
  name: text,
  text,
  json,
  delivery: word("stream", "latest", "volatile"),
  reason: word("retention", "rollback", "epoch"),
  receipt: word("delivered", "offline", "unknown"),
  pair: {
    write: (writer, value) => {
      for (const part of value as readonly string[]) writer.text(part);
    },
    read: (reader) => [reader.text(), reader.text()],
  },
  position: {
    write: (writer, value) => {
      const [epoch, offset] = value as WirePosition;
      writer.text(epoch);
      writer.uint(offset);
    },
    read: (reader) => [reader.text(), reader.uint()],
  },
  error: {
    write: (writer, value) => {
      const [code, message, retryable, retryAfter] = value as WireError;
      writer.text(code);
      writer.text(message);
      bool.write(writer, retryable);
      writer.uint(retryAfter);
    },
    read: (reader) => [reader.text(), reader.text(), bool.read(reader), reader.uint()],
  },
  limits: {
    write: (writer, value) => {
      const entries = Object.entries(value as Readonly<Record<string, number>>);
      writer.uint(entries.length);
      for (const [name, limit] of entries) {
        writer.text(name);
        writer.uint(limit);
      }
    },
    read: (reader) => {
      const limits = Object.create(null) as Record<string, number>;
      for (let left = reader.uint(); left > 0; left--) limits[reader.text()] = reader.uint();
      return limits;
    },
  },
  members: json,
  items: {
    write: (writer, value) => {
      const items = value as readonly HistoryItem[];
      writer.uint(items.length);
      for (const { offset, info, payload } of items) {
        writer.uint(offset);
        writeInfo(writer, info);
        writer.sized(() => {
          writePayload(writer, payload);
        });
      }
    },
    read: (reader) => {
      const items: HistoryItem[] = [];
      for (let left = reader.uint(); left > 0; left--) {
        const offset = reader.uint();
        const info = readInfo(reader);
        if (info === undefined) throw new PacketError("history: an item is wrong");
        items.push({ offset, info, payload: readPayload(new Reader(reader.bytes(reader.uint()))) });
      }
      return items;
    },
  },
};

const hasClient = 1;
const hasUser = 2;
const hasKey = 4;
const hasTime = 8;

/** A byte of flags, then what they announce: client, user, key, time. No flag: no info. Flags above are for later, each with a sized value. */
export function writeInfo(writer: Writer, info: PublicationInfo | undefined): void {
  if (info === undefined) {
    writer.byte(0);
    return;
  }
  const { client, user, key, time } = info;
  writer.byte(
    (client === undefined ? 0 : hasClient) |
      (user === undefined ? 0 : hasUser) |
      (key === undefined ? 0 : hasKey) |
      hasTime,
  );
  if (client !== undefined) writer.text(client);
  if (user !== undefined) writer.text(user);
  if (key !== undefined) writer.text(key);
  writer.uint(time);
}

export function readInfo(reader: Reader): PublicationInfo | undefined {
  const flags = reader.byte();
  const info: { client?: string; user?: string; key?: string; time: number } = { time: 0 };
  if ((flags & hasClient) !== 0) info.client = reader.text();
  if ((flags & hasUser) !== 0) info.user = reader.text();
  if ((flags & hasKey) !== 0) info.key = reader.text();
  if ((flags & hasTime) !== 0) info.time = reader.uint();
  for (let later = flags >> 4; later > 0; later >>= 1) if ((later & 1) === 1) reader.bytes(reader.uint());
  return (flags & hasTime) === 0 ? undefined : info;
}

/** A byte of format (0 JSON, 1 bytes), then the data to the end. */
export function writePayload(writer: Writer, payload: Payload): void {
  if (payload.format === "json") {
    writer.byte(0);
    writer.tail(payload.text);
  } else {
    writer.byte(1);
    writer.bytes(payload.bytes);
  }
}

export function readPayload(reader: Reader): Payload {
  const format = reader.byte();
  const data = reader.tail();
  if (format === 1) return { format: "binary", bytes: data };
  if (format !== 0) throw new PacketError("the data's format must be 0 (JSON) or 1 (bytes)");
  const text = utf8(data);
  return { format: "json", text, value: parse(text) };
}

function parse(text: string): unknown {
  if (text.length >= maxDepth && !depthWithin(text, maxDepth - 1))
    throw new PacketError(`arrays and objects more than ${maxDepth} deep`);
  try {
    return JSON.parse(text) as unknown;
  } catch {
    throw new PacketError("the data is not JSON");
  }
}
