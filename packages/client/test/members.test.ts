import * as fc from "fast-check";
import type { Member as WireMember } from "@zuruf/protocol";
import { describe, expect, test } from "vitest";
import { memberOf, nobody, reduceMembers } from "../src/presence/members.ts";

const ada: WireMember = ["user:ada", [["c1", { tab: 1 }], ["c2"]]];
const anonymous: WireMember = ["c3", [["c3"]]];

describe("the members reducer", () => {
  test("a snapshot, then changes", () => {
    const first = reduceMembers(nobody, [ada, anonymous], true);
    expect(first.joined).toEqual([
      {
        id: "user:ada",
        user: "ada",
        connections: [
          { client: "c1", info: { tab: 1 } },
          { client: "c2", info: undefined },
        ],
      },
      { id: "c3", user: undefined, connections: [{ client: "c3", info: undefined }] },
    ]);
    const second = reduceMembers(first.members, [["user:ada", [["c2"]]]], false);
    expect([second.joined, second.left]).toEqual([[], []]);
    expect(second.updated.map(({ connections }) => connections.length)).toEqual([1]);
    const third = reduceMembers(second.members, [["user:ada", []]], false);
    expect(third.left).toEqual(second.updated);
    expect([...third.members.keys()]).toEqual(["c3"]);
    expect(third.members.get("c3")).toBe(first.members.get("c3"));
  });

  test("a snapshot after an interruption is one difference", () => {
    const { members } = reduceMembers(nobody, [ada, anonymous], true);
    const back = reduceMembers(members, [ada, ["user:bob", [["c9"]]]], true);
    expect([back.joined.map(({ id }) => id), back.left.map(({ id }) => id), back.updated]).toEqual([
      ["user:bob"],
      ["c3"],
      [],
    ]);
    const nothing = reduceMembers(back.members, [["user:bob", [["c9"]]], ada], true);
    expect([nothing.joined, nothing.left, nothing.updated]).toEqual([[], [], []]);
  });

  test("who was never there does not leave", () => {
    expect(reduceMembers(nobody, [["c7", []]], false)).toEqual({ members: nobody, joined: [], left: [], updated: [] });
    expect(reduceMembers(nobody, [["c7", []]], true).left).toEqual([]);
  });

  const wireMember = fc.tuple(
    fc.constantFrom("user:a", "user:b", "c1", "c2"),
    fc.array(fc.tuple(fc.constantFrom("x", "y"), fc.constantFrom<unknown>(1, null, { deep: [1] })), { maxLength: 3 }),
  ) as fc.Arbitrary<WireMember>;
  const push = fc.record({ changes: fc.array(wireMember, { maxLength: 5 }), snapshot: fc.boolean() });

  test("any pushes: the differences lead from view to view, and the view is what the pushes say", () => {
    fc.assert(
      fc.property(fc.array(push, { maxLength: 10 }), (pushes) => {
        let members = nobody;
        const model = new Map<string, WireMember>();
        for (const { changes, snapshot } of pushes) {
          const unique = [...new Map(changes.map((change) => [change[0], change])).values()];
          const before = members;
          const change = reduceMembers(before, unique, snapshot);
          if (snapshot) model.clear();
          for (const one of unique) {
            if (one[1].length === 0) model.delete(one[0]);
            else model.set(one[0], one);
          }
          members = change.members;
          const ids = new Set([...before.keys(), ...change.joined.map(({ id }) => id)]);
          for (const { id } of change.left) expect(ids.delete(id)).toBe(true);
          expect(new Set(members.keys())).toEqual(ids);
          expect([...members.values()].sort((a, b) => (a.id < b.id ? -1 : 1))).toEqual(
            [...model.values()].sort((a, b) => (a[0] < b[0] ? -1 : 1)).map(([id, list]) => memberOf(id, list)),
          );
        }
      }),
    );
  });
});
