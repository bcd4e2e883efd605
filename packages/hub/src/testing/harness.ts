import type { Backplane, BackplaneSink, InstanceId, Item } from "../backplane.ts";

/** What the suite needs of a test runner; vitest's, jest's and node:test with an `expect` fit. */
export interface TestRunner {
  readonly describe: (name: string, body: () => void) => void;
  readonly test: (name: string, body: () => Promise<void>, timeout?: number) => void;
  readonly afterAll: (body: () => Promise<void>) => void;
  readonly expect: (value: unknown) => {
    toBe(expected: unknown): void;
    toEqual(expected: unknown): void;
    toBeGreaterThan(expected: number): void;
    toBeLessThanOrEqual(expected: number): void;
  };
}

/** Collects what a backplane reports. */
export class RecordingSink implements BackplaneSink {
  readonly items: { readonly channel: string; readonly item: Item }[] = [];
  readonly controls: { readonly from: InstanceId; readonly text: string }[] = [];
  readonly states: string[] = [];
  publication(channel: string, item: Item): void {
    this.items.push({ channel, item });
  }
  control(from: InstanceId, message: Uint8Array): void {
    this.controls.push({ from, text: text(message) });
  }
  up(): void {
    this.states.push("up");
  }
  down(reason: string): void {
    this.states.push(`down: ${reason}`);
  }
  suspect(channels?: readonly string[]): void {
    this.states.push(`suspect: ${channels?.join() ?? "all"}`);
  }
  /** Texts of what came on a channel, in order of arrival, doubles left out. */
  texts(channel: string): string[] {
    const seen = new Set<number>();
    return this.items
      .filter(
        ({ channel: name, item }) =>
          name === channel && (item.offset === 0 || (!seen.has(item.offset) && seen.add(item.offset) !== undefined)),
      )
      .map(({ item }) => text(item.data));
  }
}

/** One instance in a test. */
export interface Member {
  readonly backplane: Backplane;
  readonly sink: RecordingSink;
  readonly instance: InstanceId;
}

export const bytes = (value: string): Uint8Array => new TextEncoder().encode(value);
export const text = (value: Uint8Array): string => new TextDecoder().decode(value);

/** Resolves when `condition` holds; rejects with `what` after `within` ms. */
export async function eventually(condition: () => boolean, what: string, within = 5000): Promise<void> {
  const end = Date.now() + within;
  while (!condition()) {
    if (Date.now() > end) throw new Error(`never happened within ${within} ms: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}

/** The code of what a promise rejects with; "resolved" when it does not. */
export async function rejection(promise: Promise<unknown>): Promise<unknown> {
  try {
    await promise;
  } catch (error) {
    return (error as { code?: unknown }).code;
  }
  return "resolved";
}
