import { isChannelName } from "@zuruf/protocol";

/** Names to values by pattern: an exact name, or a prefix with `*` at its end ("chat:*", "*"). The exact name wins, then the longest prefix. */
export class Patterns<T> {
  readonly #exact = new Map<string, T>();
  /** Longest first. */
  #prefixes: { readonly prefix: string; readonly value: T }[] = [];

  /** Adds, or replaces the pattern that is there. @throws {TypeError} for what can match no channel name. */
  set(pattern: string, value: T): void {
    const star = pattern.indexOf("*");
    if (star === -1) {
      const valid: boolean = isChannelName(pattern);
      if (!valid) throw new TypeError(`"${pattern}" is no channel name (1–200 bytes, no space, { or })`);
      this.#exact.set(pattern, value);
      return;
    }
    const prefix = pattern.slice(0, -1);
    if (star !== pattern.length - 1 || (prefix !== "" && !isChannelName(prefix)))
      throw new TypeError(`"${pattern}" is no pattern: a channel name, or the start of one with * at its end`);
    this.#prefixes = [...this.#prefixes.filter((entry) => entry.prefix !== prefix), { prefix, value }].toSorted(
      (a, b) => b.prefix.length - a.prefix.length,
    );
  }

  find(name: string): T | undefined {
    return this.#exact.get(name) ?? this.#prefixes.find(({ prefix }) => name.startsWith(prefix))?.value;
  }
}
