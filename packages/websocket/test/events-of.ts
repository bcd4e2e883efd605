import { Connection } from "../src/core/connection.ts";
import type { ConnectionSettings } from "../src/core/connection.ts";
import type { ConnectionEvent } from "../src/core/events.ts";

export const serverSettings: ConnectionSettings = {
  role: "server",
  maxMessage: 1 << 20,
  maxFrame: 1 << 20,
  maxFragments: 100,
};
export const clientSettings: ConnectionSettings = { ...serverSettings, role: "client", mask: () => 0x12345678 };

/** An event in a form that outlives the connection and can be compared. */
export type Seen = readonly [type: string, ...details: (string | number | boolean)[]];

export function seen(event: ConnectionEvent): Seen {
  if (event.type === "message") {
    const bytes = Buffer.from(event.bytes.subarray(event.start, event.end));
    return event.text && !event.compressed
      ? ["text", bytes.toString("utf8")]
      : [event.compressed ? "compressed" : "binary", bytes.toString("hex")];
  }
  if (event.type === "close") return ["close", event.code, event.reason];
  if (event.type === "fail") return ["fail", event.error.code, event.error.closeCode];
  return [event.type, Buffer.from(event.bytes).toString("latin1")];
}

/** Feeds copies of the chunks and gives all events, and all output. */
export function run(
  chunks: readonly Uint8Array[],
  settings: ConnectionSettings = serverSettings,
  compression = false,
): { readonly events: Seen[]; readonly output: string; readonly connection: Connection } {
  const connection = new Connection(settings, compression);
  const events: Seen[] = [];
  const output: Uint8Array[] = [];
  for (const chunk of chunks) {
    const copy = chunk.slice();
    connection.feed(copy);
    for (let event = connection.next(); event !== undefined; event = connection.next()) events.push(seen(event));
    copy.fill(0xee); // the caller's memory is the caller's again
    output.push(...connection.takeOutput());
  }
  return { events, output: Buffer.concat(output).toString("hex"), connection };
}
