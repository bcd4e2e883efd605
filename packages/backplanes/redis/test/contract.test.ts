import { randomBytes } from "node:crypto";
import { afterAll, describe, expect, test } from "vitest";
import { backplaneContract } from "@zuruf/hub/testing";
import { redis } from "../src/index.ts";

const url = process.env["ZURUF_TEST_REDIS_URL"];
const prefix = `test-${randomBytes(6).toString("hex")}`;

// Without a server (npm test starts one) there is nothing to try it on.
describe.skipIf(url === undefined)("redis", () => {
  backplaneContract({
    name: "redis",
    create: () => Promise.resolve(redis(url ?? "", { prefix })),
    test: { describe, test, expect, afterAll },
  });
});
