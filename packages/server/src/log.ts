import { pino, type Logger as Pino } from "pino";
import type { LogLevel } from "./config/service-config.ts";

/** Where a server reports what its operator should know; a `pino` logger is one. */
export interface Logger {
  debug(fields: object, message: string): void;
  info(fields: object, message: string): void;
  warn(fields: object, message: string): void;
  error(fields: object, message: string): void;
}

/** JSON lines on stderr, so that stdout stays the terminal's. */
export function stderrLogger(level: LogLevel, instance?: string): Pino {
  return pino(
    { level, base: instance === undefined ? {} : { instance }, timestamp: pino.stdTimeFunctions.isoTime },
    pino.destination({ dest: 2, sync: true }),
  );
}
