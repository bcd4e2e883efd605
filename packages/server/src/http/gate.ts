import type { IncomingMessage, RequestListener, ServerResponse } from "node:http";
import { readiness, type InstanceHealth } from "../readiness.ts";

export interface GateOptions {
  /** The name of the instance that answers. */
  readonly instance: string;
  readonly readyWhenDegraded: boolean;
  /** All instances behind the port. */
  readonly health: () => Promise<readonly InstanceHealth[]>;
}

/**
 * The first to see each HTTP request. It answers `/healthz` and `/readyz` itself, whatever the application does, and says 503 for
 * everything else until `open` names who answers.
 */
export interface Gate {
  readonly listener: RequestListener;
  open(listener: RequestListener): void;
}

export function gate(options: GateOptions): Gate {
  let behind: RequestListener = closed;
  return {
    listener(request, response) {
      const path = request.url?.split("?", 1)[0];
      if (path === "/healthz" || path === "/readyz") void answer(options, path, request, response);
      else behind(request, response);
    },
    open(listener) {
      behind = listener;
    },
  };
}

async function answer(
  { health, instance, readyWhenDegraded }: GateOptions,
  path: "/healthz" | "/readyz",
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  if (request.method !== "GET" && request.method !== "HEAD") {
    response.writeHead(405, { allow: "GET, HEAD" }).end();
    return;
  }
  const instances = await health();
  const { state, status } = readiness(instances, readyWhenDegraded);
  const body = { status: state, instance, instances };
  // Alive is alive, ready or not: whoever restarts what is not alive must leave a broker's outage alone.
  respond(response, path === "/healthz" ? 200 : status, body);
}

function respond(response: ServerResponse, status: number, body: object): void {
  const text = `${JSON.stringify(body)}\n`;
  response
    .writeHead(status, {
      "content-type": "application/json; charset=utf-8",
      "cache-control": "no-store",
      "content-length": Buffer.byteLength(text),
    })
    .end(text);
}

/** While starting. `Refresh` brings a browser's page as soon as it is there. */
function closed(request: IncomingMessage, response: ServerResponse): void {
  request.resume();
  response
    .writeHead(503, {
      "content-type": "text/plain; charset=utf-8",
      "retry-after": "1",
      refresh: "1",
      "cache-control": "no-store",
    })
    .end("starting\n");
}
