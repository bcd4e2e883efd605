/** A started backplane and all that it reported, with conditions to await instead of sleeps. */
import type { Backplane, BackplaneSink, Item } from "@zuruf/hub";

export const retention = { size: 10_000, ttl: 3_600_000, bytes: 0 } as const;

export class Member implements BackplaneSink {
  readonly backplane: Backplane;
  readonly items: { readonly channel: string; readonly item: Item }[] = [];
  readonly messages: { readonly from: string; readonly text: string }[] = [];
  readonly states: string[] = [];
  readonly suspects: (readonly string[] | undefined)[] = [];
  readonly #waiting = new Set<() => void>();

  constructor(backplane: Backplane) {
    this.backplane = backplane;
  }

  static async start(backplane: Backplane, name: string): Promise<Member> {
    const member = new Member(backplane);
    await backplane.start(name, member);
    return member;
  }

  publication(channel: string, item: Item): void {
    this.items.push({ channel, item });
    this.#changed();
  }
  control(from: string, message: Uint8Array): void {
    this.messages.push({ from, text: Buffer.from(message).toString() });
    this.#changed();
  }
  up(): void {
    this.states.push("up");
    this.#changed();
  }
  down(reason: string): void {
    this.states.push(`down: ${reason}`);
    this.#changed();
  }
  suspect(channels?: readonly string[]): void {
    this.suspects.push(channels);
    this.#changed();
  }

  get isUp(): boolean {
    return this.states.at(-1) === "up";
  }
  texts(channel: string): string[] {
    return this.items.filter((entry) => entry.channel === channel).map(({ item }) => Buffer.from(item.data).toString());
  }

  /** Resolves when the condition holds after something was reported; rejects after `ms`. */
  until(what: string, condition: () => boolean, ms = 10_000): Promise<void> {
    if (condition()) return Promise.resolve();
    return new Promise((resolve, reject) => {
      const check = (): void => {
        if (!condition()) return;
        clearTimeout(timer);
        this.#waiting.delete(check);
        resolve();
      };
      const timer = setTimeout(() => {
        this.#waiting.delete(check);
        reject(new Error(`${what}: not within ${ms} ms; states: ${this.states.join(", ")}`));
      }, ms);
      this.#waiting.add(check);
    });
  }
  #changed(): void {
    for (const check of this.#waiting) check();
  }

  publish(channel: string, text: string, key?: string): ReturnType<Backplane["publish"]> {
    return this.backplane.publish(channel, Buffer.from(text), { retention, ...(key === undefined ? {} : { key }) });
  }
  /** All texts after an offset of an epoch, or why not. */
  async after(channel: string, epoch: string, offset: number): Promise<string[] | string> {
    const page = await this.backplane.history(channel, { after: { epoch, offset }, limit: 10_000 });
    return page.complete ? page.items.map((item) => Buffer.from(item.data).toString()) : (page.reason ?? "no reason");
  }
}
