import { statSync } from "node:fs";
import type { RequestListener, Server } from "node:http";
import { resolve } from "node:path";
import fastifyStatic from "@fastify/static";
import { fastify, type FastifyBaseLogger, type FastifyInstance } from "fastify";
import { ServerError } from "../errors.ts";

export interface ApplicationServerOptions {
  readonly logger: FastifyBaseLogger;
  readonly trustedProxies: readonly string[];
  /** Folder whose files are served at `/`. */
  readonly static: string | undefined;
}

/** Fastify on a server that others use as well: it gets requests only from `listener`, and does not listen itself. */
export interface ApplicationServer {
  readonly http: FastifyInstance;
  readonly listener: RequestListener;
}

/** @throws ServerError badConfig when there is no such folder. */
export async function applicationServer(server: Server, options: ApplicationServerOptions): Promise<ApplicationServer> {
  const { logger, trustedProxies, static: folder } = options;
  let listener!: RequestListener;
  const http: FastifyInstance = fastify({
    loggerInstance: logger,
    ...(trustedProxies.length > 0 ? { trustProxy: [...trustedProxies] } : {}),
    serverFactory: (handle) => {
      listener = handle;
      return server;
    },
  });
  if (folder !== undefined) await serveFolder(http, folder);
  return { http, listener };
}

async function serveFolder(http: FastifyInstance, folder: string): Promise<void> {
  const root = resolve(folder);
  if (!statSync(root, { throwIfNoEntry: false })?.isDirectory())
    throw new ServerError("badConfig", `--static ${folder}: no such folder`);
  // Not decorating replies leaves `reply.sendFile` to the application, which may serve files of its own.
  await http.register(fastifyStatic, { root, decorateReply: false });
}
