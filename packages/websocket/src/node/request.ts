import type { IncomingHttpHeaders, IncomingMessage } from "node:http";
import type { Http2ServerRequest } from "node:http2";
import type { UpgradeRequest } from "./api.ts";

/** What `upgrade` is shown. Costs nothing where it is not asked. */
export class EngineRequest implements UpgradeRequest {
  readonly raw: IncomingMessage | Http2ServerRequest;
  readonly protocols: readonly string[];

  constructor(raw: IncomingMessage | Http2ServerRequest, protocols: readonly string[]) {
    this.raw = raw;
    this.protocols = protocols;
  }

  get path(): string {
    return splitTarget(this.raw.url ?? "").path;
  }

  get query(): string {
    return splitTarget(this.raw.url ?? "").query;
  }

  get headers(): IncomingHttpHeaders {
    return this.raw.headers;
  }

  get origin(): string | undefined {
    const { origin } = this.raw.headers;
    return typeof origin === "string" ? origin : undefined;
  }

  get remoteAddress(): string {
    return this.raw.socket.remoteAddress ?? "";
  }

  get secure(): boolean {
    return "encrypted" in this.raw.socket;
  }
}

/** A request target's path and query, RFC 9112 §3.2; of an absolute form, its path. */
export function splitTarget(target: string): { readonly path: string; readonly query: string } {
  let start = 0;
  if (!target.startsWith("/")) {
    const scheme = target.indexOf("://");
    const slash = scheme < 0 ? -1 : target.indexOf("/", scheme + 3);
    if (slash >= 0) start = slash;
  }
  const mark = target.indexOf("?", start);
  if (mark < 0) return { path: target.slice(start), query: "" };
  return { path: target.slice(start, mark), query: target.slice(mark + 1) };
}
