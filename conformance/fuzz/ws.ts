import { createRequire } from "node:module";
import type { Writable } from "node:stream";

import type { VectorEvent } from "../vector.ts";

/** The receiver of `ws`, which it exports without types. */
type Receiver = Writable & { on(event: string, listener: (...values: never[]) => void): unknown };
type ReceiverClass = new (options: Readonly<Record<string, unknown>>) => Receiver;

const { Receiver } = createRequire(import.meta.url)("ws") as { Receiver: ReceiverClass };

/** What `ws` makes of the same bytes, for a difference to be looked at: who is right, the RFC decides. */
export function wsOutcome(
  bytes: Buffer,
  role: "server" | "client",
  maxPayload: number,
): { events: VectorEvent[]; failed: number | undefined } {
  const events: VectorEvent[] = [];
  let failed: number | undefined;
  let over = false;
  const receiver = new Receiver({
    isServer: role === "server",
    maxPayload,
    maxFragments: 0,
    maxBufferedChunks: 0,
    allowSynchronousEvents: true,
  });
  const note = (event: VectorEvent): void => {
    if (!over) events.push(event);
  };
  receiver.on("message", (data: Buffer, binary: boolean) =>
    note(
      binary ? { type: "message", binary: [data.toString("hex")] } : { type: "message", text: data.toString("utf8") },
    ),
  );
  receiver.on("ping", (data: Buffer) => note({ type: "ping", data: data.toString("hex") }));
  receiver.on("pong", (data: Buffer) => note({ type: "pong", data: data.toString("hex") }));
  receiver.on("conclude", (code: number, reason: Buffer) => {
    note({ type: "close", code, reason: reason.toString("utf8") });
    over = true;
  });
  receiver.on("error", (error: Error & Record<symbol, number>) => {
    const status = Object.getOwnPropertySymbols(error).find(({ description }) => description === "status-code");
    failed ??= status === undefined ? 0 : error[status];
  });
  receiver._write(Buffer.from(bytes), "latin1", (error) => {
    if (error) receiver.emit("error", error);
  });
  return { events, failed };
}
