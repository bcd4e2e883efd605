import { randomBytes } from "node:crypto";
import { afterAll, describe, expect, test } from "vitest";
import { backplaneContract } from "@zuruf/hub/testing";
import { rabbitmq } from "../src/index.ts";

const url = process.env["ZURUF_TEST_RABBITMQ_URL"];
const exchange = `test-${randomBytes(6).toString("hex")}`;

// Without a server (npm run test:full starts one) there is nothing to try it on.
describe.skipIf(url === undefined)("rabbitmq", () => {
  backplaneContract({
    name: "rabbitmq",
    create: () => Promise.resolve(rabbitmq(url ?? "", { exchange })),
    test: { describe, test, expect, afterAll },
  });
});
