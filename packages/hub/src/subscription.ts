import type { LossReason } from "@zuruf/protocol";
import type { Position } from "./backplane.ts";
import type { Batch } from "./batch.ts";
import type { Channel } from "./channel.ts";
import type { ResolvedOptions } from "./channel-options.ts";
import type { Connection } from "./connection.ts";
import type { Publication } from "./publication.ts";

/** One connection's interest in one channel. */
export class Subscription {
  readonly connection: Connection;
  readonly name: string;
  readonly options: ResolvedOptions;
  /** False: the connection's own publications are not sent to it. */
  readonly echo: boolean;
  /** Absent until the channel is open. */
  channel: Channel | undefined;
  /** Publications up to here are not for this subscription: it had them, or started after them. */
  offset = 0;
  epoch = "";
  ended = false;
  /** `subscribe` has its answer. */
  answered = false;
  /** `latest`: the newest publication, while the connection cannot take it. */
  held: Publication | undefined;

  constructor(connection: Connection, name: string, options: ResolvedOptions, echo: boolean) {
    this.connection = connection;
    this.name = name;
    this.options = options;
    this.echo = echo;
  }

  /** The hot path: called once per batch and subscriber; allocates nothing. */
  deliverAll(batch: Batch): void {
    const { connection } = this;
    const inStep = batch.first === 0 || batch.first > this.offset;
    if (inStep && this.echo && !connection.congested) connection.sendShared(batch.messages(connection.codec));
    else for (const publication of batch.publications) this.deliver(publication);
  }

  deliver(publication: Publication): void {
    if (publication.offset !== 0 && publication.offset <= this.offset) return;
    if (!this.echo && publication.info.client === this.connection.client) return;
    this.connection.deliver(this, publication);
  }

  /** What comes next belongs to another epoch of the same log. */
  moved(position: Position): void {
    this.epoch = position.epoch;
    // Who recovered ahead of the relay has seen more than the others.
    const offset = Math.max(position.offset, this.offset);
    this.connection.send({ type: "position", channel: this.name, position: [position.epoch, offset] });
  }

  restarted(position: Position, reason: LossReason): void {
    this.at(position);
    this.held = undefined;
    this.connection.send({
      type: "restarted",
      channel: this.name,
      position: [position.epoch, position.offset],
      reason,
    });
  }

  at(position: Position): void {
    this.epoch = position.epoch;
    this.offset = position.offset;
  }
}
