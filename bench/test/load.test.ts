import { expect, test } from "vitest";

import { type Watcher, Flow } from "../backplanes/flow.ts";
import { suite as hub } from "../hub/bench.ts";
import type { Wire } from "../measure/connect.ts";
import { dialects } from "../measure/dialects.ts";
import { expectSome } from "../measure/expect.ts";
import { textRing } from "../measure/frames.ts";
import { treeCpuSeconds } from "../measure/process.ts";
import { Sender } from "../measure/sender.ts";

function wire(): Wire & { readonly written: Buffer[] } {
  const written: Buffer[] = [];
  return {
    written,
    write: (bytes) => void written.push(Buffer.from(bytes)),
    destroy: () => {},
    receive: () => {},
    closed: () => {},
  };
}

/** One unmasked text frame, as servers send them. */
function fromServer(text: string): Buffer {
  const payload = Buffer.from(text);
  return Buffer.concat([Buffer.from([0x81, payload.length]), payload]);
}

const receive = (to: Wire, bytes: Buffer): void => to.receive(bytes, bytes.length);

test("each dialect reads the publications and acknowledgements of its server, and nothing else as such", () => {
  const { zuruf, "socket.io": socketIo } = dialects;
  expect(zuruf.publication('["msg","room:1",7,{"time":1},"hi"]')).toBe("hi");
  expect(zuruf.publication('["published",7,{}]')).toBeUndefined();
  expect(zuruf.acknowledged('["published",7,{"position":["e",1]}]')).toBe(7);
  expect(zuruf.acknowledged('["error",7,["notStored","",true,0]]')).toBeUndefined();
  expect(socketIo.publication('42["message","hi"]')).toBe("hi");
  expect(socketIo.publication("2")).toBeUndefined();
  expect(socketIo.acknowledged("4312[]")).toBe(12);
  expect(socketIo.publish("room:1", "hi", 3, false)).toBe('42["publish","room:1","hi"]');
});

test("a publication is complete when it has arrived at all subscribers, and only then", () => {
  const publisher = wire();
  const subscribers = [wire(), wire()] as const;
  const found = { arrived: 0, complete: 0 };
  const watcher: Watcher = {
    arrived: () => void found.arrived++,
    complete: (_flow, count) => void (found.complete += count),
  };
  const ring = textRing(4, 8, (_place, text) => text);
  const flow = new Flow(new Sender(publisher, ring), subscribers, watcher);
  flow.publish(2);
  expect(Buffer.concat(publisher.written).length).toBe(2 * (2 + 4 + 4));
  const two = Buffer.concat([fromServer("a"), fromServer("b")]);
  receive(subscribers[0], two);
  expect([flow.underWay, found.complete]).toEqual([2, 0]);
  receive(subscribers[1], two.subarray(0, 4));
  expect([flow.underWay, found.complete]).toEqual([1, 1]);
  receive(subscribers[1], two.subarray(4));
  expect([flow.underWay, found]).toEqual([0, { arrived: 4, complete: 2 }]);
});

test("what arrives in any order must be complete, and nothing may come twice", async () => {
  const right = wire();
  const all = expectSome(
    right,
    3,
    (message) => message,
    String,
    () => {},
  );
  for (const text of ["2", "0", "1"]) receive(right, fromServer(text));
  await expect(all).resolves.toBeUndefined();
  const doubled = wire();
  const failed = expectSome(
    doubled,
    3,
    (message) => message,
    String,
    () => {},
  );
  for (const text of ["2", "2"]) receive(doubled, fromServer(text));
  await expect(failed).rejects.toThrow(/message 1 is not what was expected/);
});

test("CPU time is that of the process and of what it started", () => {
  const before = treeCpuSeconds([process.pid]);
  expect(before).toBeGreaterThan(0);
  expect(treeCpuSeconds([process.ppid])).toBeGreaterThanOrEqual(before);
});

test("the suite's floors name peers that are there", () => {
  const names = hub.peers.map(({ name }) => name);
  for (const { floors } of hub.tests) {
    for (const { subject, against } of floors) expect(names).toEqual(expect.arrayContaining([subject, against]));
  }
});
