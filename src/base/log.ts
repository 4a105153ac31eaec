/**
 * Logs: one line a state change, as JSON on stderr, through pino. Fields carry their unit: `jobId`, `epoch`, `waitMs`.
 */
import { type Logger as PinoLogger, pino, stdTimeFunctions } from 'pino';

/** The part of pino that Polaris uses, so that the simulator can give its own. */
export interface Logger {
  debug(fields: object, event: string): void;
  info(fields: object, event: string): void;
  warn(fields: object, event: string): void;
  error(fields: object, event: string): void;
}

export type LogLevel = 'debug' | 'info' | 'warn' | 'error' | 'silent';

/** `pretty` is for a person at a terminal. Synchronous: the last line before an exit must not be lost. */
export function createLogger(options: { level: LogLevel; node: string }): PinoLogger {
  return pino(
    { level: options.level, base: { node: options.node }, timestamp: stdTimeFunctions.isoTime },
    pino.destination({ dest: 2, sync: true }),
  );
}

export const SILENT: Logger = { debug() {}, info() {}, warn() {}, error() {} };
