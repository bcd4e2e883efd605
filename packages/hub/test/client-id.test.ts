import { createHash, randomBytes } from "node:crypto";
import { describe, expect, test } from "vitest";
import { clientId, newSecret } from "../src/client-id.ts";
import { sha256 } from "../src/sha256.ts";

describe("client ids", () => {
  test("SHA-256 agrees with the platform's at every length around a block", () => {
    expect(Buffer.from(sha256(new TextEncoder().encode("abc"))).toString("hex")).toBe(
      "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
    );
    for (let length = 0; length < 200; length++) {
      const message = randomBytes(length);
      expect(Buffer.from(sha256(message))).toEqual(createHash("sha256").update(message).digest());
    }
  });

  test("an id is its secret's and its user's", () => {
    const secret = newSecret({ bytes: (count) => randomBytes(count) });
    expect(secret).toMatch(/^[\w-]{22}$/);
    const ids = [
      clientId(secret, undefined),
      clientId(secret, "ada"),
      clientId(secret, ""),
      clientId(`${secret}x`, "ada"),
    ];
    expect(new Set(ids).size).toBe(4);
    for (const id of ids) expect(id).toMatch(/^[\w-]{22}$/);
    expect(clientId(secret, "ada")).toBe(ids[1]);
  });
});
