/** The generator of the hub's load, a process on a core of its own. Its clients use no library, but raw sockets and frames made ahead of time. */
import { mustStayOpen } from "../measure/connect.ts";
import { type Dialect, dialects, openPublisher, openSubscribers } from "../measure/dialects.ts";
import { fanOut } from "../measure/fan-out.ts";
import { type Ring, textRing } from "../measure/frames.ts";
import { generator } from "../measure/generator.ts";
import { idle } from "../measure/idle.ts";
import type { Measured } from "../measure/measurement.ts";
import { roundTrips } from "../measure/round-trips.ts";
import { Sender } from "../measure/sender.ts";
import { check } from "./check.ts";
import { channel, type Load } from "./load.ts";

async function broadcast(load: Load, dialect: Dialect, messages: Ring): Promise<Measured> {
  const subscribers = await openSubscribers(load.connections, load.port, dialect, [channel]);
  const publisher = await openPublisher(load.port, dialect);
  mustStayOpen([...subscribers, publisher]);
  publisher.receive = () => {}; // its acknowledgements
  return fanOut(load, subscribers, new Sender(publisher, messages));
}

await generator(async (given, pause) => {
  const load = given as Load;
  const { port, kind, connections } = load;
  const dialect = dialects[load.dialect];
  // The ring's places are the ids: as many as are under way at most, and more.
  const messages = textRing(load.size, 128, (place, text) => dialect.publish(channel, text, place + 1, kind === "ack"));
  if (load.check) return check(load, dialect, messages);
  switch (kind) {
    case "fanout":
      return broadcast(load, dialect, messages);
    case "ack": {
      const publishers = Array.from({ length: connections }, () => openPublisher(port, dialect));
      return roundTrips(load, await Promise.all(publishers), messages);
    }
    case "idle":
      return idle(connections, (count) => openSubscribers(count, port, dialect, [channel]), pause);
  }
});
