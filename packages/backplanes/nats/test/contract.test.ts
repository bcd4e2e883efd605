import { randomBytes } from "node:crypto";
import { afterAll, describe, expect, test } from "vitest";
import { backplaneContract } from "@zuruf/hub/testing";
import { nats } from "../src/index.ts";

const url = process.env["ZURUF_TEST_NATS_URL"];
const prefix = `test-${randomBytes(6).toString("hex")}`;

// Without a server (npm run test:full starts one) there is nothing to try it on.
describe.skipIf(url === undefined)("nats", () => {
  backplaneContract({
    name: "nats",
    create: () => Promise.resolve(nats(url ?? "", { prefix })),
    test: { describe, test, expect, afterAll },
  });
  backplaneContract({
    name: "nats without history",
    create: () => Promise.resolve(nats(url ?? "", { prefix: `${prefix}-relay`, history: false })),
    test: { describe, test, expect, afterAll },
  });
});
