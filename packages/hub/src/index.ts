export {
  BackplaneError,
  type Backplane,
  type BackplaneErrorCode,
  type BackplaneSink,
  type HistoryPage,
  type InstanceId,
  type Item,
  type Position,
  type PublishOptions,
  type Retention,
} from "./backplane.ts";
export { SharedMessage, type HubConnection, type Transport } from "./transport.ts";
