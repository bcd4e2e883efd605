import { CloseCode, ZurufError, type Packet, type PacketOf } from "@zuruf/protocol";
import { clientId, newSecret } from "./client-id.ts";
import type { Connection } from "./connection.ts";
import { toZurufError } from "./errors.ts";
import type { ConnectGrant } from "./hooks.ts";
import { inTime } from "./in-time.ts";

/** Opens the session of a connection: asks the application who this is, and gives or resumes a client id. */
export async function connect(connection: Connection, packet: PacketOf<"connect">): Promise<Packet | undefined> {
  const { core } = connection;
  const { limits } = core;
  let grant: ConnectGrant;
  try {
    grant = await ask(connection, packet.token, packet.resume?.[0], false);
  } catch (error) {
    connection.fail(packet.id, error, "onConnect");
    const { code, retryable, message, retryAfter } = toZurufError(error);
    if (retryable) connection.close(CloseCode.unavailable, `${code} retryAfter=${retryAfter}`);
    else connection.close(code === "unauthorized" ? CloseCode.unauthorized : CloseCode.forbidden, shortened(message));
    return undefined;
  }
  if (connection.state !== "connecting") return undefined;
  const { user } = grant;
  const [secret, life, resumed] = resume(packet.resume, user) ?? [newSecret(core.random), 0, false];
  connection.client = clientId(secret, user);
  connection.user = user;
  connection.data = grant.data;
  connection.life = life;
  connection.expires = expiry(grant.expires);
  const heartbeat = Math.min(limits.heartbeatMax, Math.max(limits.heartbeatMin, packet.heartbeat ?? limits.heartbeat));
  connection.heartbeat = Math.ceil(heartbeat / 1000);
  // The transport of the older copy is closed first; its clean-up follows when it is gone.
  const older = core.connections.client(connection.client);
  if (older !== undefined) takenBy(older, life);
  core.connections.opened(connection);
  if (resumed) core.control.send({ type: "taken", client: connection.client, life });
  const { dataBytes, infoBytes, subscriptions, requests, historyPage } = limits;
  connection.send({
    type: "connected",
    id: packet.id,
    client: connection.client,
    secret: `${secret}.${life}`,
    resumed,
    instance: core.instance,
    ...(user !== undefined && { user }),
    ...(connection.expires > 0 && { expires: Math.max(0, connection.expires - core.clock.now()) }),
    heartbeat,
    limits: { dataBytes, infoBytes, subscriptions, requests, historyPage },
  });
  connection.opened();
  return undefined;
}

/** Gives a session a new token and with it a new end; it stays the same user. */
export async function refresh(connection: Connection, packet: PacketOf<"refresh">): Promise<Packet> {
  const grant = await ask(connection, packet.token, connection.client, true);
  if (grant.user !== connection.user)
    throw new ZurufError("forbidden", "the new token is another user's: connect anew to change the user");
  connection.data = grant.data;
  connection.expires = expiry(grant.expires);
  return {
    type: "refreshed",
    id: packet.id,
    ...(connection.expires > 0 && { expires: Math.max(0, connection.expires - connection.core.clock.now()) }),
  };
}

/** The same session was opened elsewhere: the client is told to stay away, unless both are as new, which only a lost answer explains. */
export function takenBy(connection: Connection, life: number): void {
  if (connection.life < life) connection.close(CloseCode.resumedElsewhere, "this session was resumed elsewhere");
  else if (connection.life === life) connection.close(CloseCode.silent, "this session was opened twice");
}

async function ask(
  connection: Connection,
  token: string | undefined,
  client: string | undefined,
  again: boolean,
): Promise<ConnectGrant> {
  const { address, headers, core } = connection;
  const asked = core.hooks.connect?.({ token, address, headers, client, refresh: again });
  const grant = (await inTime(core, "onConnect", asked)) ?? {};
  const { user } = grant;
  if (user !== undefined && (typeof user !== "string" || user === "" || new TextEncoder().encode(user).length > 256))
    throw new TypeError("onConnect must return a user of 1 to 256 bytes, or none");
  const expires = expiry(grant.expires);
  if (expires !== 0 && expires <= core.clock.now()) throw new ZurufError("unauthorized", "the token has expired");
  return grant;
}

/** Whole milliseconds since 1970; 0: never. @throws {TypeError} for what is no time: a session must not last for ever because of it. */
export function expiry(expires: ConnectGrant["expires"]): number {
  const end = Math.floor(Number(expires ?? 0));
  if (!Number.isSafeInteger(end) || end < 0)
    throw new TypeError("expires must be a date or milliseconds since 1970; for a session without end, leave it out");
  return end;
}

/** The secret and the next life of a session that its bearer may have back. */
function resume(
  given: readonly [client: string, secret: string] | undefined,
  user: string | undefined,
): [secret: string, life: number, resumed: true] | undefined {
  if (given === undefined) return undefined;
  const match = /^([A-Za-z0-9_-]{22})\.(\d{1,9})$/.exec(given[1]);
  if (match === null || clientId(match[1] as string, user) !== given[0]) return undefined;
  return [match[1] as string, Number(match[2]) + 1, true];
}

/** A close reason has at most 123 bytes (RFC 6455 §5.5). */
function shortened(reason: string): string {
  let short = reason.slice(0, 123);
  while (new TextEncoder().encode(short).length > 123) short = short.slice(0, -1);
  return short;
}
