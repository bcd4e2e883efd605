import { expect } from "vitest";

/** What every pair of implementations must carry: each length form, both types, every kind of character, and what compresses well and badly. */
export function samples(): (string | Uint8Array)[] {
  const noise = Uint8Array.from({ length: 70_000 }, (_, i) => Math.imul(i + 1, 0x9e3779b1) >>> 24);
  return [
    "",
    "Hello",
    "Grüße, 世界 😀\0",
    "\ufeffwith a byte order mark",
    "a".repeat(125),
    "a".repeat(126),
    JSON.stringify(Array.from({ length: 50 }, (_, id) => ({ id, text: `message ${id}`, at: 1_700_000_000 + id }))),
    "é".repeat(40_000),
    new Uint8Array(0),
    Uint8Array.of(0, 255, 128),
    noise.subarray(0, 126),
    noise.subarray(0, 65_535),
    noise,
  ];
}

/** As much of the browser's interface as all three clients have. */
export interface Client {
  binaryType: string;
  send(data: string | Uint8Array): void;
  close(code?: number, reason?: string): void;
  addEventListener(type: string, listener: (event: never) => void): void;
}

/** Sends all samples, waits for all echoes, closes; resolves with what came back and how it ended. */
export async function exchange(
  client: Client,
  messages: readonly (string | Uint8Array)[],
): Promise<{ echoes: (string | Uint8Array)[]; code: number; wasClean: boolean }> {
  client.binaryType = "arraybuffer";
  const echoes: (string | Uint8Array)[] = [];
  return new Promise((resolve, reject) => {
    client.addEventListener("open", () => {
      for (const message of messages) client.send(message);
    });
    client.addEventListener("message", ({ data }: { data: string | ArrayBuffer }) => {
      echoes.push(typeof data === "string" ? data : new Uint8Array(data));
      if (echoes.length === messages.length) client.close(4321, "done");
    });
    client.addEventListener("close", ({ code, wasClean }: { code: number; wasClean: boolean }) =>
      resolve({ echoes, code, wasClean }),
    );
    client.addEventListener("error", (event: { message?: string; error?: unknown }) =>
      reject(new Error(`error event: ${event.message}`, { cause: event.error })),
    );
  });
}

export function expectSame(echoes: readonly (string | Uint8Array)[], messages: readonly (string | Uint8Array)[]): void {
  expect(echoes.length).toBe(messages.length);
  for (const [i, message] of messages.entries()) {
    const echo = echoes[i];
    if (typeof message === "string" || typeof echo === "string" || echo === undefined) expect(echo).toBe(message);
    else expect(Buffer.from(echo).equals(Buffer.from(message))).toBe(true);
  }
}
