import type { ConnectionOptions as TlsOptions } from "node:tls";
import { BackplaneError } from "@zuruf/hub";

export interface RabbitmqOptions {
  /** Name of the exchange, and first part of the names of the instances' queues; services that share a virtual host need different ones. Default `zuruf`. */
  readonly exchange?: string;
  /**
   * Number of hash partitions, the same on all instances; default 64, 1 to 1,024. An instance gets the publications of those partitions in which it
   * has a channel: more partitions mean less surplus, and more bindings.
   */
  readonly partitions?: number;
  /** Milliseconds until a call that RabbitMQ did not answer rejects; default 5,000, at least 100. */
  readonly deadline?: number;
  /** Bytes that may wait in the broker for one instance; beyond, the oldest are dropped there (the head check heals it). Default 64 MiB. */
  readonly queueBytes?: number;
  /** For `amqps` URLs, in addition: `ca`, `cert`, `key`, `servername`, … */
  readonly tls?: TlsOptions;
}

export interface Settings {
  readonly url: string;
  readonly exchange: string;
  readonly partitions: number;
  readonly deadline: number;
  readonly queueBytes: number;
  readonly tls: TlsOptions | undefined;
  /** `host:port/vhost`, for messages: never the password. */
  readonly where: string;
}

/** Throws `BackplaneError` `unusable` with one line when the URL or an option cannot be read. */
export function readSettings(url: string, options: RabbitmqOptions): Settings {
  const { exchange = "zuruf", partitions = 64, deadline = 5000, queueBytes = 64 * 1024 * 1024, tls } = options;
  if (!/^[A-Za-z0-9_.:-]{1,64}$/.test(exchange))
    throw new BackplaneError(
      "unusable",
      "the RabbitMQ option exchange must be 1 to 64 of letters, digits, _ . : and -",
    );
  if (!(Number.isInteger(partitions) && partitions >= 1 && partitions <= 1024))
    throw new BackplaneError("unusable", "the RabbitMQ option partitions must be a whole number from 1 to 1024");
  if (!(deadline >= 100))
    throw new BackplaneError("unusable", "the RabbitMQ option deadline must be at least 100 milliseconds");
  if (!(queueBytes >= 65_536))
    throw new BackplaneError("unusable", "the RabbitMQ option queueBytes must be at least 65536");
  if (!URL.canParse(url) || !/^amqps?:$/.test(new URL(url).protocol) || new URL(url).hostname === "")
    throw new BackplaneError("unusable", "the RabbitMQ URL must look like amqp://user:password@host:5672/vhost");
  const { host, pathname } = new URL(url);
  return { url, exchange, partitions, deadline, queueBytes, tls, where: `${host}${pathname}` };
}
