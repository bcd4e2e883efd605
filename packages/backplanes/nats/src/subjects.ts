/** The subjects of one service. Names of channels may hold what a subject cannot (`.`, `*`, `>`), so they travel in base64url. */
export class Subjects {
  readonly #prefix: string;
  constructor(prefix: string) {
    this.#prefix = prefix;
  }

  /** The log of a channel, in JetStream. */
  log(channel: string): string {
    return `${this.#prefix}.log.channel.${Buffer.from(channel).toString("base64url")}`;
  }
  /** Where a channel's publications are announced: by JetStream what it stored, by publishers what has no history. */
  live(channel: string): string {
    return `${this.#prefix}.live.channel.${Buffer.from(channel).toString("base64url")}`;
  }
  /** The chain of epochs lies in the log itself, and is announced like everything in it. */
  get epochs(): string {
    return `${this.#prefix}.log.epochs`;
  }
  get liveEpochs(): string {
    return `${this.#prefix}.live.epochs`;
  }
  get allLogs(): string {
    return `${this.#prefix}.log.>`;
  }
  get allLive(): string {
    return `${this.#prefix}.live.>`;
  }
  control(instance?: string): string {
    const to = instance === undefined ? "all" : `to.${Buffer.from(instance).toString("base64url")}`;
    return `${this.#prefix}.control.${to}`;
  }
  /** Where one instance of each server of a cluster answers. */
  get servers(): string {
    return `${this.#prefix}.servers.question`;
  }
  /** Where an instance says at which server it is. */
  get here(): string {
    return `${this.#prefix}.servers.here`;
  }
  canary(mark: string): string {
    return `${this.#prefix}.canary.${mark}`;
  }
  answers(mark: string): string {
    return `${this.#prefix}.answers.${mark}`;
  }
}
