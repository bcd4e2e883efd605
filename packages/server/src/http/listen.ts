import { once } from "node:events";
import type { Server as HttpServer } from "node:http";
import type { AddressInfo, Server } from "node:net";
import { ServerError } from "../errors.ts";

const reasons: Readonly<Record<string, string>> = {
  EADDRINUSE: "is in use; stop what listens there, or choose another with --port",
  EACCES: "may not be used by this user; choose a port from 1024 up with --port",
  EADDRNOTAVAIL: "is not an address of this machine; choose another with --host",
  ENOTFOUND: "is not a known host; choose another with --host",
};

/** Listens. @returns the port. @throws ServerError cannotListen. */
export async function listen(server: Server, host: string, port: number): Promise<number> {
  server.listen({ host, port });
  try {
    await once(server, "listening");
  } catch (error) {
    const { code = "", message } = error as NodeJS.ErrnoException;
    const place = code === "ENOTFOUND" || code === "EADDRNOTAVAIL" ? host : `${bracketed(host)}:${port}`;
    throw new ServerError("cannotListen", `${place} ${reasons[code] ?? `cannot be listened on: ${message}`}`, error);
  }
  return (server.address() as AddressInfo).port;
}

/** How connections come to a server. */
export interface Entrance {
  /** @returns the port. @throws ServerError cannotListen. */
  open(server: HttpServer): Promise<number>;
  /** Lets no further connection in. @returns once the last one is gone. */
  close(server: HttpServer): Promise<unknown>;
}

/** A port of the server's own. */
export function ownPort(host: string, port: number): Entrance {
  return {
    open: (server) => listen(server, host, port),
    async close(server) {
      if (!server.listening) return;
      const closed = once(server, "close");
      server.close();
      await closed;
    },
  };
}

/** Lets no further connection in, lets requests in progress finish for at most `within` milliseconds, then cuts them off. */
export async function finish(server: HttpServer, entrance: Entrance, within: number): Promise<void> {
  const closed = entrance.close(server);
  // A kept-alive connection becomes idle only when its last answer is out, so one look at the beginning is not enough.
  const idle = setInterval(() => server.closeIdleConnections(), 50);
  const late = setTimeout(() => server.closeAllConnections(), within);
  await closed;
  clearInterval(idle);
  clearTimeout(late);
}

/** The URL that a person on this machine opens. */
export function urlOf(host: string, port: number): string {
  const shown = host === "0.0.0.0" || host === "::" ? "localhost" : bracketed(host);
  return `http://${shown}:${port}`;
}

const bracketed = (host: string): string => (host.includes(":") ? `[${host}]` : host);
