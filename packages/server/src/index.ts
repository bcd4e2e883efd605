/** What a hook throws to refuse: its code and sentence reach the client. */
export { ZurufError } from "@zuruf/protocol";
export {
  loadApplication,
  runApplication,
  type Application,
  type ApplicationModule,
  type Deployment,
} from "./application.ts";
export { startCluster, type Cluster } from "./cluster/primary.ts";
export { runWorker } from "./cluster/worker.ts";
export type { ChannelConfig, Permission } from "./config/channels.ts";
export { serveHelp } from "./config/help.ts";
export { loadSettings, type Invocation } from "./config/load.ts";
export type { LogLevel, ServiceSettings } from "./config/service-config.ts";
export { createServer } from "./create-server.ts";
export { checkDeployment } from "./deployment.ts";
export { oneLine, ServerError, serverErrors, type ServerErrorCode } from "./errors.ts";
export type { Logger } from "./log.ts";
export type { InstanceHealth, InstanceState } from "./readiness.ts";
export { startService, type Membership, type Service, type ServiceConfig } from "./service.ts";
export type { CloseOptions, ServerOptions, Zuruf } from "./zuruf.ts";
