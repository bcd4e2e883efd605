import type { EventEmitter } from "node:events";
import type { IncomingMessage } from "node:http";
import type { Duplex } from "node:stream";
import { servePlainly, wantsOtherUpgrade } from "./plain.ts";
import { refuse } from "./refuse.ts";
import { splitTarget } from "./request.ts";

/** Takes over one upgrade request. */
export type UpgradeTaker = (request: IncomingMessage, stream: Duplex, head: Buffer) => void;

/** Any server with an `upgrade` event. */
type UpgradeSource = EventEmitter;

interface Routes {
  /** By path; `""` takes every path that no other does. */
  readonly byPath: Map<string, UpgradeTaker>;
  readonly listener: UpgradeTaker;
}

const EVERY_PATH = "";

/** Several engines may serve one http.Server: they share one listener. */
const routesOf: WeakMap<UpgradeSource, Routes> = new WeakMap();

/**
 * Gives the upgrade requests for some paths of an http.Server to `take`.
 *
 * Other users of its `upgrade` event are left alone. A path that nobody serves is answered with 404: at once when
 * there are no other users, otherwise when after `patience` milliseconds none of them has answered or read anything.
 * @param paths exact paths; undefined: every path that is not given otherwise.
 * @returns ends it.
 */
export function route(
  server: UpgradeSource,
  paths: readonly string[] | undefined,
  take: UpgradeTaker,
  patience: number,
): () => void {
  const routes = routesOf.get(server) ?? listen(server, patience);
  const keys = paths ?? [EVERY_PATH];
  for (const path of keys) routes.byPath.set(path, take);
  return () => {
    for (const path of keys) {
      if (routes.byPath.get(path) === take) routes.byPath.delete(path);
    }
    if (routes.byPath.size > 0) return;
    server.off("upgrade", routes.listener);
    routesOf.delete(server);
  };
}

/** Whether a path of this server is taken already. */
export function isRouted(server: UpgradeSource, path: string | undefined): boolean {
  return routesOf.get(server)?.byPath.has(path ?? EVERY_PATH) ?? false;
}

function listen(server: UpgradeSource, patience: number): Routes {
  const byPath = new Map<string, UpgradeTaker>();
  const listener: UpgradeTaker = (request, stream, head) => {
    const take = byPath.get(splitTarget(request.url ?? "").path) ?? byPath.get(EVERY_PATH);
    if (take !== undefined) take(request, stream, head);
    else if (server.listenerCount("upgrade") > 1) leaveToOthers(stream, patience);
    else if (wantsOtherUpgrade(request)) servePlainly(server, request, stream);
    else refuse(stream, 404);
  };
  const routes = { byPath, listener };
  routesOf.set(server, routes);
  server.on("upgrade", listener);
  return routes;
}

function leaveToOthers(stream: Duplex, patience: number): void {
  const timer = setTimeout(() => {
    const untouched = stream.listenerCount("data") === 0 && stream.listenerCount("readable") === 0;
    if (untouched && "bytesWritten" in stream && stream.bytesWritten === 0) refuse(stream, 404);
  }, patience).unref();
  stream.once("close", () => clearTimeout(timer));
}
