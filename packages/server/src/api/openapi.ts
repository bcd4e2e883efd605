import { z } from "zod";
import { operations, type Operation } from "./operations.ts";

const errorSchema = {
  type: "object",
  required: ["error"],
  properties: {
    error: {
      type: "object",
      required: ["code", "message", "retryable", "retryAfter"],
      properties: {
        code: { type: "string" },
        message: { type: "string" },
        retryable: { type: "boolean", description: "whether the same request may succeed when tried again" },
        retryAfter: { type: "integer", description: "milliseconds to wait before; 0: no advice" },
      },
    },
  },
};

/** The API as an OpenAPI 3.1 document, from the table of operations. */
export function openApi(): object {
  return {
    openapi: "3.1.0",
    info: { title: "Zuruf", version: "1", description: "What a backend can ask of the real-time server." },
    servers: [{ url: "/api/v1" }],
    security: [{ key: [] }],
    paths: Object.fromEntries(operations.map((one) => [one.path, { [one.method.toLowerCase()]: described(one) }])),
    components: {
      securitySchemes: { key: { type: "http", scheme: "bearer", description: "the server's --api-key" } },
      responses: { Error: { description: "what went wrong", content: json(errorSchema) } },
    },
  };
}

const json = (schema: object): object => ({ "application/json": { schema } });

function described({ method, path, summary, input, output }: Operation): object {
  const schema = z.toJSONSchema(input, { io: "input", target: "draft-2020-12" });
  const { properties = {}, required = [] } = schema;
  return {
    operationId: path.slice(1),
    summary,
    ...(method === "GET"
      ? {
          parameters: Object.entries(properties).map(([name, of]) => ({
            name,
            in: "query",
            required: required.includes(name),
            schema: of,
          })),
        }
      : { requestBody: { required: true, content: json(schema) } }),
    responses: {
      "200": { description: "done", content: json(z.toJSONSchema(output, { target: "draft-2020-12" })) },
      default: { $ref: "#/components/responses/Error" },
    },
  };
}
