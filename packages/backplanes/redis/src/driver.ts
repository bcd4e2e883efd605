/** The part of `@redis/client` that is used here: an optional peer, loaded when the backplane starts. */
import { BackplaneError } from "@zuruf/hub";
import type { createClient, RedisClientType, RESP_TYPES } from "@redis/client";
import type { ConnectionOptions } from "node:tls";
import type { Address, Credentials } from "./options.ts";
import { within } from "./patience.ts";

export interface Driver {
  readonly createClient: typeof createClient;
  readonly RESP_TYPES: typeof RESP_TYPES;
}
export type Client = RedisClientType;

export async function loadDriver(): Promise<Driver> {
  try {
    return await import("@redis/client");
  } catch (error) {
    throw new BackplaneError(
      "unusable",
      "the Redis backplane needs the package @redis/client: npm install @redis/client",
      error,
    );
  }
}

export interface ConnectionSettings {
  readonly credentials: Credentials;
  readonly tls: ConnectionOptions | undefined;
  readonly database: number;
  /** Milliseconds for the connection to be made. */
  readonly deadline: number;
}

/**
 * One connection that is never made anew by the driver: whoever owns it hears `lost` at most once, and then makes another.
 * So no command waits in a queue for a server that is gone, and none is sent twice.
 */
export async function connect(
  driver: Driver,
  address: Address,
  name: string,
  settings: ConnectionSettings,
  lost: (error: Error) => void,
): Promise<Client> {
  const client = driver.createClient({
    ...settings.credentials,
    name,
    RESP: 3,
    ...(settings.database === 0 ? {} : { database: settings.database }),
    // A timer and an AbortSignal per command would cost as much as the command; every call has a deadline of ours.
    commandOptions: { timeout: 0 },
    disableOfflineQueue: true,
    disableClientInfo: true,
    maintNotifications: "disabled",
    socket: {
      host: address.host,
      port: address.port,
      // Ours comes first: the driver's ends a connection whose answer lies in its buffer.
      connectTimeout: settings.deadline * 2,
      reconnectStrategy: false,
      ...(settings.tls === undefined ? {} : { ...settings.tls, tls: true as const }),
    },
  });
  // Every error ends it: also what the driver could not parse, after which its answers could be taken for those of other commands.
  client.on("error", (error: Error) => lost(error));
  try {
    await within(client.connect(), settings.deadline, () => new Error(`no answer within ${settings.deadline} ms`));
    return client;
  } catch (error) {
    discard(client);
    throw error;
  }
}

/** Ends a connection at once; its pending commands reject. Safe to call at any time. */
export function discard(client: Client): void {
  try {
    client.destroy();
  } catch {
    // The driver throws when the connection is closed already, which is what is wanted.
  }
}
