import type { Backplane } from "@zuruf/hub";

/** The backplane that an order names; its package is loaded only then. */
export async function brokerOf({ kind, url }: { readonly kind: string; readonly url: string }): Promise<Backplane> {
  switch (kind) {
    case "redis":
      return (await import("@zuruf/redis")).redis(url);
    case "postgres":
      return (await import("@zuruf/postgres")).postgres(url);
    case "rabbitmq":
      return (await import("@zuruf/rabbitmq")).rabbitmq(url);
    case "nats":
      return (await import("@zuruf/nats")).nats(url);
    case "rabbitmq+redis": {
      const [relay = "", store = ""] = url.split("+");
      const { compose } = await import("@zuruf/compose");
      return compose({
        relay: await brokerOf({ kind: "rabbitmq", url: relay }),
        store: await brokerOf({ kind: "redis", url: store }),
      });
    }
    case "postgres-each":
      return new (await import("./postgres-each.ts")).PostgresEach(url);
    default:
      throw new TypeError(`there is no backplane ${kind}`);
  }
}
