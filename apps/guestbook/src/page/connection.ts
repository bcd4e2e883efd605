import { signal, type Signal } from "@preact/signals";
import type { Channel, Client } from "@zuruf/client";

/** How the page is connected. `live`: every new entry arrives. `ended`: it does not come back by itself. */
export interface Connection {
  readonly state: "connecting" | "live" | "reconnecting" | "offline" | "ended";
  /** Name of the server instance; absent without one. */
  readonly instance?: string;
  /** When the next attempt begins, in milliseconds since 1970; absent while one is running. */
  readonly retryAt?: number;
}

/** Follows client and channel; and the browser's own opinion, which knows first that the cable is out. */
export function watchConnection<Data>(client: Client, channel: Channel<Data>, now: () => number): Signal<Connection> {
  const connection: Signal<Connection> = signal({ state: "connecting" });
  let retryAt: number | undefined;
  let wasLive = false;
  let ended = false;

  const current = (): Connection => {
    if (channel.state === "subscribed") {
      wasLive = true;
      return client.instance === undefined ? { state: "live" } : { state: "live", instance: client.instance };
    }
    if (ended) return { state: "ended" };
    if (!isOnline()) return { state: "offline" };
    const state = wasLive || retryAt !== undefined ? "reconnecting" : "connecting";
    return retryAt === undefined ? { state } : { state, retryAt };
  };
  const update = (): void => {
    connection.value = current();
  };

  client.on("state", ({ state, retryIn }) => {
    retryAt = retryIn === undefined ? undefined : now() + retryIn;
    ended = state === "disconnected";
    update();
  });
  channel.on("state", update);
  channel.on("error", ({ retryable }) => {
    ended ||= !retryable;
    update();
  });
  globalThis.addEventListener?.("online", update);
  globalThis.addEventListener?.("offline", update);
  return connection;
}

/** Only browsers know; elsewhere there is a network until it fails. */
function isOnline(): boolean {
  return (globalThis.navigator as Partial<Navigator> | undefined)?.onLine ?? true;
}
