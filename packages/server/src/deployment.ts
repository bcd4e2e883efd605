import { loadApplication, runApplication } from "./application.ts";
import type { ServiceSettings } from "./config/service-config.ts";
import { ServerError } from "./errors.ts";

/**
 * Finds out before anything starts whether the service can run as its settings say: instances need a broker between them, and an application
 * may refuse with its export `check`.
 * @throws ServerError badConfig or applicationFailed, one line that says why and what to do.
 */
export async function checkDeployment({ instances, backplane, app }: ServiceSettings): Promise<void> {
  if (instances > 1 && backplane === "memory")
    throw new ServerError(
      "badConfig",
      `--instances ${instances} needs a broker, because the memory backplane connects nothing outside its own process; ` +
        "add --backplane redis://127.0.0.1:6379, or leave --instances out",
    );
  if (app === undefined) return;
  const { check } = await loadApplication(app);
  if (check !== undefined) await runApplication(() => check({ instances, backplane }));
}
