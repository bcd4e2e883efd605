import { ZurufError } from "@zuruf/protocol";
import type { Access, Session } from "./hooks.ts";

/** Whether a session may; a promise only where a function decides. @throws {ZurufError} `unauthorized` without a user where one is needed, else `forbidden`. */
export function mayAccess(access: Access, session: Session, channel: string, what: string): void | Promise<void> {
  if (channel.startsWith("$")) throw new ZurufError("forbidden", "channels that start with $ are the server's");
  if (access === "anyone" || (access === "user" && session.user !== undefined)) return undefined;
  if (access === "user") throw new ZurufError("unauthorized", `only signed-in users may ${what} ${channel}`);
  if (access === "server") throw new ZurufError("forbidden", `only the server may ${what} ${channel}`);
  return askAccess(access, session, channel, what);
}

async function askAccess(
  access: Exclude<Access, string>,
  { client, user, data }: Session,
  channel: string,
  what: string,
): Promise<void> {
  if (!(await access({ client, user, data, channel })))
    throw new ZurufError("forbidden", `this session may not ${what} ${channel}`);
}
