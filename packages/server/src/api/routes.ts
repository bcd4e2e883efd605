import { createHash, timingSafeEqual } from "node:crypto";
import { ZurufError } from "@zuruf/protocol";
import type { FastifyError, FastifyInstance, FastifyReply } from "fastify";
import type { Zuruf } from "../zuruf.ts";
import { openApi } from "./openapi.ts";
import { operations } from "./operations.ts";

/** HTTP status by error code; every other code is 400. */
const statuses: Readonly<Record<string, number>> = {
  unauthorized: 401,
  forbidden: 403,
  notFound: 404,
  tooLarge: 413,
  rateLimited: 429,
  internal: 500,
  notStored: 503,
  unknown: 503,
  unavailable: 503,
  timeout: 504,
};

/** Serves `/api/v1` to whoever has the key. @param key compared in constant time. */
export async function serveApi(http: FastifyInstance, zuruf: Zuruf, key: string): Promise<void> {
  const expected = digest(`Bearer ${key}`);
  const document = openApi();
  await http.register(
    async (api) => {
      api.addHook("onRequest", async (request) => {
        if (!timingSafeEqual(digest(request.headers.authorization ?? ""), expected))
          throw new ZurufError("unauthorized", "send the header Authorization: Bearer, with the server's API key");
      });
      api.setErrorHandler((error: FastifyError | ZurufError, request, reply) => {
        const known = asZurufError(error);
        if (known.code === "internal") request.log.error({ err: error }, "an API request failed");
        return refuse(reply, known);
      });
      api.setNotFoundHandler((_request, reply) => refuse(reply, new ZurufError("notFound", "no such operation")));
      api.get("/openapi.json", () => document);
      for (const { method, path, input, run } of operations)
        api.route({
          method,
          url: path,
          handler: async (request) => {
            const checked = input.safeParse(method === "GET" ? request.query : request.body);
            if (checked.success) return run(zuruf, checked.data);
            const [issue] = checked.error.issues;
            throw new ZurufError("badRequest", [...(issue?.path ?? []), issue?.message].join(": "));
          },
        });
    },
    { prefix: "/api/v1" },
  );
}

const digest = (text: string): Buffer => createHash("sha256").update(text).digest();

/** What fastify itself refuses, such as a body that is no JSON, has a status below 500. */
function asZurufError(error: FastifyError | ZurufError): ZurufError {
  if (error instanceof ZurufError) return error;
  const { statusCode = 500, message } = error;
  if (statusCode >= 500) return new ZurufError("internal", "the server failed; its log says how", { cause: error });
  return new ZurufError(statusCode === 413 ? "tooLarge" : "badRequest", message, { cause: error });
}

function refuse(reply: FastifyReply, { code, message, retryable, retryAfter }: ZurufError): FastifyReply {
  if (code === "unauthorized") reply.header("www-authenticate", "Bearer");
  if (retryAfter > 0) reply.header("retry-after", Math.ceil(retryAfter / 1000));
  return reply.code(statuses[code] ?? 400).send({ error: { code, message, retryable, retryAfter } });
}
