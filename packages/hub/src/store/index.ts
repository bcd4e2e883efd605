/** What the stores and relays of backplanes have in common. For authors of backplanes. */
export { epochAt, isEpoch, misfit, readChain, readOffset, type EpochChain, type EpochLink } from "./epoch-chain.ts";
export { endOf, follows } from "./continuity.ts";
export { Deadlines, type Expiring } from "./deadlines.ts";
export { readControl, writeControl } from "./control-message.ts";
export { readAnnouncement, writeAnnouncement } from "./announcement.ts";
export { readFrames, writeFrames } from "./frames.ts";
export { Canary } from "./canary.ts";
export { Reconnector, type ReconnectorEvents } from "./reconnector.ts";
export { Gatherer, type Gathered, type GathererOptions } from "./gatherer.ts";
