import { maxDepth } from "./codec.ts";
import { isId } from "./field-checks.ts";
import { depthWithin } from "./json-scan.ts";
import { isChannelName, maxKeyBytes } from "./names.ts";
import type { PacketOf } from "./packets.ts";

const start = `["publish",`;
const emptyOptions = "},";
const keyOption = `"key":"`;
const endOfKey = `"},`;

/**
 * A `publish` in the form that `JSON.stringify` gives it, with plain ASCII in channel and key: read without parsing
 * the packet around the data, because servers read more of these than of all others. Undefined for everything else,
 * malformed packets included: the general decoder reads those, and says what is wrong.
 */
export function readPublish(message: string): PacketOf<"publish"> | undefined {
  if (!message.startsWith(start)) return undefined;
  let at = start.length;
  let id = 0;
  for (let digit = message.charCodeAt(at) - 48; digit >= 0 && digit <= 9; digit = message.charCodeAt(++at) - 48) {
    // JSON has no leading zeros.
    if (digit === 0 && id === 0) return undefined;
    id = id * 10 + digit;
  }
  const target = isId(id) ? targetAt(message, at) : undefined;
  if (target === undefined) return undefined;
  const { channel, text } = target;
  at += text.length;
  if (message.startsWith(emptyOptions, at)) {
    const payload = lastPayload(message, at + emptyOptions.length);
    return payload && { type: "publish", id, channel, payload };
  }
  if (!message.startsWith(keyOption, at)) return undefined;
  at += keyOption.length;
  const end = endOfPlain(message, at);
  if (end === at || end - at > maxKeyBytes || !message.startsWith(endOfKey, end)) return undefined;
  const payload = lastPayload(message, end + endOfKey.length);
  return payload && { type: "publish", id, channel, key: own(message.slice(at, end)), payload };
}

/** A channel, and what stands of it between the id and the options. */
interface Target {
  readonly channel: string;
  readonly text: string;
}

/** Mostly the same comes again, and need not be looked at closely. */
let latest: Target | undefined;

function targetAt(message: string, at: number): Target | undefined {
  if (latest !== undefined && message.startsWith(latest.text, at)) return latest;
  if (!message.startsWith(`,"`, at)) return undefined;
  const end = endOfPlain(message, at + 2);
  const channel = own(message.slice(at + 2, end));
  if (!message.startsWith(`",{`, end) || !isChannelName(channel)) return undefined;
  latest = { channel, text: `,"${channel}",{` };
  return latest;
}

/** A copy. Engines let a slice refer to the text it was cut from: a key of 20 bytes, kept for minutes, would keep its whole message. */
function own(slice: string): string {
  return ` ${slice}`.slice(1);
}

/** The index of the first unit from `at` on that is not printable ASCII, or that is a quote or a backslash. */
function endOfPlain(text: string, at: number): number {
  for (let end = at; ; end++) {
    const unit = text.charCodeAt(end);
    // Written so that NaN, beyond the end, stops as well.
    if (!(unit >= 0x20 && unit < 0x7f) || unit === 0x22 || unit === 0x5c) return end;
  }
}

/** The one JSON value between `at` and the bracket that ends the packet. */
function lastPayload(message: string, at: number): PacketOf<"publish">["payload"] | undefined {
  if (!message.endsWith("]")) return undefined;
  const text = message.slice(at, -1);
  // The packet's own array is one more around it.
  if (text.length >= maxDepth && !depthWithin(text, maxDepth - 1)) return undefined;
  try {
    return { format: "json", text: text.trim(), value: JSON.parse(text) as unknown };
  } catch {
    return undefined;
  }
}
