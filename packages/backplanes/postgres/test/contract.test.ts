import { randomBytes } from "node:crypto";
import { afterAll, describe, expect, test } from "vitest";
import { backplaneContract } from "@zuruf/hub/testing";
import { postgres } from "../src/index.ts";

const url = process.env["ZURUF_TEST_POSTGRES_URL"];
const schema = `test_${randomBytes(6).toString("hex")}`;

// Without a server (npm test starts one) there is nothing to try it on.
describe.skipIf(url === undefined)("postgres", () => {
  backplaneContract({
    name: "postgres",
    create: () => Promise.resolve(postgres(url ?? "", { schema })),
    test: { describe, test, expect, afterAll },
  });
});
