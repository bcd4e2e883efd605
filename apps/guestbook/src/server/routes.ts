import { existsSync } from "node:fs";
import { fileURLToPath } from "node:url";
import fastifyStatic from "@fastify/static";
import type { Application } from "@zuruf/server";
import * as z from "zod";
import { channelName, pageSize, type EntriesPage } from "../entry.ts";
import type { EntryStore } from "./entry-store.ts";
import { GuestbookError, reasonOf } from "./errors.ts";

type Zuruf = Parameters<Application>[0];
type Http = Parameters<Application>[1];

const query = z.object({
  before: z.coerce.number().int().min(1).max(Number.MAX_SAFE_INTEGER).optional(),
  limit: z.coerce.number().int().min(1).max(pageSize.most).default(pageSize.standard),
});

/** `GET /entries?before=ID&limit=N`: see `EntriesPage`. 400 names the wrong parameter; 503 while the database cannot be asked. */
export function serveEntries(zuruf: Zuruf, http: Http, store: EntryStore, warn: (message: string) => void): void {
  http.get("/entries", async (request, reply) => {
    void reply.header("cache-control", "no-store");
    const asked = query.safeParse(request.query);
    if (!asked.success) {
      const [issue] = asked.error.issues;
      return reply.code(400).send({ error: `${issue?.path.join(".")}: ${issue?.message}` });
    }
    const { before, limit } = asked.data;
    try {
      // Position first: what is published between the two reads arrives over the subscription, perhaps twice, never not at all.
      const position = before === undefined ? await zuruf.position(channelName).catch(unknownPosition) : null;
      const found = await store.list({ before, limit: limit + 1 });
      return { entries: found.slice(0, limit), older: found.length > limit, position } satisfies EntriesPage;
    } catch (error) {
      warn(`entries could not be read: ${reasonOf(error)}`);
      return reply.code(503).header("retry-after", "2").send({ error: "the entries cannot be read now" });
    }
  });

  // Without the backplane the entries can still be read; the page then asks again once it is subscribed.
  function unknownPosition(error: unknown): null {
    warn(`the channel's position is not known: ${reasonOf(error)}`);
    return null;
  }
}

const policy = [
  "default-src 'none'",
  "script-src 'self'",
  "style-src 'self'",
  "img-src 'self'",
  "connect-src 'self'",
  "base-uri 'none'",
  "form-action 'none'",
  "frame-ancestors 'none'",
  "require-trusted-types-for 'script'",
].join("; ");

/** The page at `/`: built files only, no inline script or style, nothing from elsewhere. */
export async function servePage(http: Http): Promise<void> {
  const root = fileURLToPath(new URL("../page/", import.meta.url));
  if (!existsSync(`${root}index.html`))
    throw new GuestbookError("pageMissing", "The guestbook's page is not built: run `npm run build` first.");
  await http.register(fastifyStatic, {
    root,
    decorateReply: false,
    cacheControl: false,
    setHeaders(response, path) {
      // Files under assets/ carry a hash of their content in their names.
      const lasting = path.startsWith(`${root}assets/`);
      response.setHeader("cache-control", lasting ? "public, max-age=31536000, immutable" : "no-cache");
      response.setHeader("content-security-policy", policy);
      response.setHeader("referrer-policy", "no-referrer");
      response.setHeader("x-content-type-options", "nosniff");
      response.setHeader("cross-origin-opener-policy", "same-origin");
    },
  });
}
