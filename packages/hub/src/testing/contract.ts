import type { Backplane, Position, Retention } from "../backplane.ts";
import { RecordingSink, type Member, type TestRunner } from "./harness.ts";

/** Parts of the contract that a backplane can be excused from, each with the reason. */
export type ContractException =
  | "control order"
  | "bytes retention"
  | "time retention"
  | "before"
  | "no doubles announced";

export interface ContractOptions {
  readonly name: string;
  /** A new backplane object, not started, joined to the same broker as the others. */
  readonly create: () => Promise<Backplane>;
  readonly exceptions?: Partial<Record<ContractException, string>>;
  readonly test: TestRunner;
}

/** A retention that drops nothing within a test. */
export const keep: Retention = { size: 1000, ttl: 3_600_000, bytes: 0 };
let names = 0;

/** One backplane under test: who takes part, and names that nobody had before. */
export class Contract {
  readonly exceptions: NonNullable<ContractOptions["exceptions"]>;
  readonly expect: TestRunner["expect"];
  readonly #create: ContractOptions["create"];
  readonly #runner: TestRunner;
  readonly #members: Member[] = [];
  readonly #run = `${Date.now().toString(36)}${Math.floor(Math.random() * 1e9).toString(36)}`;

  constructor({ create, exceptions = {}, test: runner }: ContractOptions) {
    this.exceptions = exceptions;
    this.expect = runner.expect;
    this.#create = create;
    this.#runner = runner;
  }

  readonly channelName = (): string => `contract:${this.#run}:${++names}`;

  /** One more instance. */
  readonly join = async (): Promise<Member> => {
    const sink = new RecordingSink();
    const instance = `${this.#run}-${++names}`;
    const backplane = await this.#create();
    await backplane.start(instance, sink);
    const member = { backplane, sink, instance };
    this.#members.push(member);
    return member;
  };

  readonly leave = async (): Promise<void> => {
    for (const { backplane } of this.#members.splice(0)) await backplane.close();
  };

  /** A test after which everybody leaves; none where the backplane is excused from it. */
  readonly test = (title: string, body: () => Promise<void>, exception?: ContractException): void => {
    if (exception !== undefined && this.exceptions[exception] !== undefined) return;
    this.#runner.test(title, async () => {
      try {
        await body();
      } finally {
        await this.leave();
      }
    });
  };

  readonly after = (
    member: Member,
    channel: string,
    position: Position,
    limit = 100,
  ): ReturnType<Backplane["history"]> => member.backplane.history(channel, { after: position, limit });
}
