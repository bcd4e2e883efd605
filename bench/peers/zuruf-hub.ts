import { createServer as createHttpServer } from "node:http";
import type { AddressInfo } from "node:net";

import { createServer } from "@zuruf/server";

import { brokerOf } from "./brokers.ts";
import { channelServing, listening } from "./serving.ts";

/** A whole Zuruf server as its documentation has it, with the limits on what one address and one client may do lifted. */
const { history, broker } = channelServing();

const zuruf = createServer({
  ...(broker ? { backplane: await brokerOf(broker) } : {}),
  channels: {
    "room:*": {
      subscribe: "anyone",
      publish: "anyone",
      ...(history ? { history: { size: 1000, ttl: "1h" } } : {}),
    },
  },
  limits: { packetsPerSecond: 0, requests: 100_000, subscriptions: 100_000 },
  connectionRate: 0,
});

const server = createHttpServer();
zuruf.attach(server);
await zuruf.start();
server.listen(0, "127.0.0.1", 4096, () => {
  listening((server.address() as AddressInfo).port, { node: process.versions.node });
});
