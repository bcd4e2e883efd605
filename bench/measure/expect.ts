import type { Wire } from "./connect.ts";
import { MessageReader } from "./reader.ts";

/** Resolves when `total` messages have come of which `read` makes what was expected. */
export function expectAll<T>(
  wire: Wire,
  total: number,
  read: (message: string) => T | undefined,
  expected: (place: number) => T,
  next: () => void,
): Promise<void> {
  return new Promise((resolve, reject) => {
    const reader = new MessageReader();
    let received = 0;
    wire.closed = () => reject(new Error(`the server closed the connection after ${received} messages`));
    wire.receive = (chunk, length) => {
      for (const { payload } of reader.take(Buffer.from(chunk.subarray(0, length)))) {
        const message = payload.toString();
        if (read(message) !== expected(received))
          reject(new Error(`message ${received} is not what was expected: ${message.slice(0, 200)}`));
        received++;
        if (received === total) resolve();
        next();
      }
    };
  });
}

/** As {@link expectAll}, in any order. */
export function expectSome<T>(
  wire: Wire,
  total: number,
  read: (message: string) => T | undefined,
  expected: (place: number) => T,
  next: () => void,
): Promise<void> {
  const missing = new Set(Array.from({ length: total }, (_, place) => expected(place)));
  // What was expected has come once when it is deleted, and what was not stays itself.
  const once = (message: string): T | string | undefined => {
    const found = read(message);
    return found !== undefined && missing.delete(found) ? "expected" : message;
  };
  return expectAll<T | string>(wire, total, once, () => "expected", next);
}
