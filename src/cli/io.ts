/**
 * Io: everything that a command touches outside itself, so that a test can hand it fakes. stdout carries data only;
 * whatever is for a person goes to stderr.
 */
import type { PolarisClient } from '../client/client.ts';

export interface Output {
  write(data: string | Uint8Array): unknown;
  readonly isTTY?: boolean;
  readonly columns?: number;
  /** Of a real stream: called once there is room again, after `write` said false. */
  once?(event: 'drain', listener: () => void): unknown;
}

type ControlMethod = 'retry' | 'set' | 'failures' | 'workers' | 'drainWorker' | ScheduleMethod;
type ScheduleMethod = 'schedules' | 'putSchedule' | 'dropSchedule';
type MemberMethod = 'backup' | 'node' | 'addMember' | 'removeMember' | 'promoteMember' | 'transfer';

/** The methods of PolarisClient that commands use. */
export type CliClient = Pick<
  PolarisClient,
  | 'submit'
  | 'list'
  | 'show'
  | 'ranges'
  | 'verify'
  | 'pause'
  | 'resume'
  | 'cancel'
  | 'wait'
  | 'cluster'
  | ControlMethod
  | MemberMethod
  | 'datasets'
  | 'queries'
  | 'results'
>;

export interface Interruptible {
  /** Aborts at Ctrl-C. */
  readonly signal: AbortSignal;
  /** Gives Ctrl-C back its usual meaning. */
  release(): void;
}

export interface CliIo {
  readonly stdout: Output;
  readonly stderr: Output;
  /** What is piped in; can be read once. */
  stdin(): AsyncIterable<Uint8Array>;
  readonly environment: { readonly [name: string]: string | undefined };
  connect(urls: readonly string[]): Promise<CliClient>;
  interruptible(): Interruptible;
  /** Epoch ms. */
  now(): number;
}

/** The real one. */
export function processIo(): CliIo {
  // A reader that has seen enough (`| head`) closes the pipe; that is no failure of ours.
  process.stdout.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code === 'EPIPE') process.exit(0);
    throw error;
  });
  return {
    stdout: process.stdout,
    stderr: process.stderr,
    stdin: () => process.stdin,
    environment: process.env,
    connect: async (urls) => new (await import('../client/client.ts')).PolarisClient({ urls }),
    interruptible,
    now: () => Date.now(),
  };
}

function interruptible(): Interruptible {
  const controller = new AbortController();
  const abort = (): void => controller.abort();
  process.once('SIGINT', abort);
  return { signal: controller.signal, release: () => process.off('SIGINT', abort) };
}

/** All of it, no faster than it is taken: one chunk is held here. */
export async function writeAll(output: Output, source: AsyncIterable<Uint8Array>): Promise<void> {
  for await (const chunk of source) {
    if (output.write(chunk) !== false || output.once === undefined) continue;
    await new Promise<void>((resolve) => output.once?.('drain', resolve));
  }
}

/** Whether to colour what goes there (https://no-color.org). */
export function colours(io: CliIo, output: Output): boolean {
  return output.isTTY === true && !io.environment['NO_COLOR'] && io.environment['TERM'] !== 'dumb';
}
