// What the instances under test serve: channels with history for everybody, and what the process holds, measured after a collection.
import { readdirSync } from "node:fs";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";

setFlagsFromString("--expose-gc");
const collect = runInNewContext("gc");

/** @type {import("@zuruf/server").Application} */
export default function application(zuruf, http) {
  zuruf.channel("room:*", { history: { size: 100_000, ttl: "1h" }, publish: "anyone" });
  http.get("/resources", () => {
    collect();
    collect();
    const { connections, channels } = zuruf.status();
    return {
      heap: process.memoryUsage().heapUsed,
      descriptors: readdirSync("/proc/self/fd").length,
      handles: process.getActiveResourcesInfo().filter((name) => name !== "Immediate").length,
      connections,
      channels,
    };
  });
}
