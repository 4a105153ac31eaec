/**
 * EngineProcess: one query's process as its node sees it.
 *
 * Nothing is asked of the process that it could fail to do: its time, its memory and what it writes are watched from here,
 * and whoever stops waiting for its answer has it killed. It is written down where the next life of the node finds it, as
 * job hosts are.
 *
 * Invariant: when the promise is settled the process is gone.
 */
import { type ChildProcess, fork } from 'node:child_process';
import { readFileSync, statSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { PolarisError } from '../base/errors.ts';
import { HOST_MEMORY_CHECK_MS, JOB_LOG_LINES_PER_SECOND } from '../base/limits.ts';
import { QUERY_ENGINES_MAX, QUERY_ERROR_CHARACTERS_MAX } from '../base/limits-query.ts';
import { captureLines } from '../jobtype/lines.ts';
import { residentMb, signalGroup } from '../jobtype/proc.ts';
import { removeRecord, writeRecord } from '../jobtype/records.ts';
import type { EngineOrder, EngineReport } from './protocol.ts';

/** What one query may take. */
export interface EngineLimits {
  readonly memoryMb: number;
  readonly resultBytes: number;
  readonly ms: number;
}

export interface EngineRun {
  /** The compiled engine.js. */
  readonly entry: string;
  readonly recordsDir: string;
  /** The directory of this query: nothing else is written to. */
  readonly workDir: string;
  readonly order: EngineOrder;
  readonly limits: EngineLimits;
  /** Aborts when nobody waits for the answer any more. */
  readonly signal: AbortSignal;
  /** What the engine prints. */
  readonly line: (line: string) => void;
  /** It runs. For tests that have plans with it. */
  readonly started?: (pid: number) => void;
}

/** Resolves when the result is whole. @throws PolarisError BAD_QUERY, QUERY_TOO_LARGE, QUERY_LOST, TIMED_OUT, NO_QUERY_ENGINE */
export function runEngine(run: EngineRun): Promise<void> {
  return new Promise((resolve, reject) => {
    const { limits, signal } = run;
    const child = start(run);
    let verdict: PolarisError | 'done' | null = null;
    /** What is found first stands; the end of the process then only says that it is over. */
    const end = (found: PolarisError | 'done'): void => {
      verdict ??= found;
      kill(child);
    };
    const lost = (text: string) => new PolarisError('QUERY_LOST', text);
    const gone = () => end(new PolarisError('QUERY_LOST', 'nobody waits for the answer any more'));
    const late = new PolarisError('TIMED_OUT', `the query took longer than ${limits.ms} ms`);
    const deadline = setTimeout(() => end(late), limits.ms);
    const watch = setInterval(() => {
      const excess = excessOf(child, run);
      if (excess !== null) end(new PolarisError('QUERY_TOO_LARGE', excess));
    }, HOST_MEMORY_CHECK_MS);
    const finish = (how: string): void => {
      clearTimeout(deadline);
      clearInterval(watch);
      signal.removeEventListener('abort', gone);
      if (child.pid !== undefined) removeRecord(run.recordsDir, child.pid);
      if (verdict === 'done') resolve();
      else reject(verdict ?? lost(`the process of the query ${how} before it answered`));
    };
    child.on('message', (report) => end(verdictOf(report as EngineReport, run)));
    child.once('exit', (code, by) => finish(by === null ? `exited with code ${code}` : `was killed by ${by}`));
    child.once('error', (error) => {
      if (child.pid === undefined) finish(`could not be started (${error.message})`);
    });
    signal.addEventListener('abort', gone, { once: true });
    if (signal.aborted) gone();
    if (child.pid !== undefined) run.started?.(child.pid);
    child.send(run.order, () => {});
  });
}

function start({ entry, recordsDir, workDir, line }: EngineRun): ChildProcess {
  // As a group of its own, as job hosts are; and with an environment that holds no secret of the node.
  const child = fork(entry, [], {
    detached: true,
    serialization: 'advanced',
    execArgv: [],
    cwd: workDir,
    env: {
      ...pick(['PATH', 'TZ', 'LD_LIBRARY_PATH', 'SystemRoot']),
      POLARS_MAX_THREADS: String(Math.max(1, Math.floor(availableParallelism() / QUERY_ENGINES_MAX))),
      // What it puts aside while it sorts and groups goes away with the directory.
      POLARS_TEMP_DIR: workDir,
      TMPDIR: workDir,
    },
    stdio: ['ignore', 'pipe', 'pipe', 'ipc'],
  });
  if (child.pid !== undefined) writeRecord(recordsDir, child.pid, null);
  for (const stream of [child.stdout, child.stderr]) {
    if (stream) captureLines(stream, JOB_LOG_LINES_PER_SECOND, line);
  }
  return child;
}

function kill(child: ChildProcess): void {
  if (child.pid !== undefined && child.exitCode === null) signalGroup(child.pid, 'SIGKILL');
  child.kill('SIGKILL');
}

function verdictOf(report: EngineReport, { order, limits }: EngineRun): PolarisError | 'done' {
  switch (report?.type) {
    case 'done':
      if (sizeOf(order.resultPath) <= limits.resultBytes) return 'done';
      return new PolarisError('QUERY_TOO_LARGE', resultExcess(limits));
    case 'refused':
      return new PolarisError('BAD_QUERY', String(report.text).slice(0, 2 * QUERY_ERROR_CHARACTERS_MAX));
    case 'absent':
      return new PolarisError('NO_QUERY_ENGINE', report.text);
    default:
      return new PolarisError('QUERY_LOST', 'the process of the query said what nobody understands');
  }
}

/** Which limit is passed; null for none. */
function excessOf({ pid }: ChildProcess, { order, limits }: EngineRun): string | null {
  if (pid !== undefined && (ownMb(pid) ?? 0) > limits.memoryMb) {
    return `the query took more than ${limits.memoryMb} MB of memory; read fewer columns or rows, or group by less`;
  }
  return sizeOf(order.resultPath) > limits.resultBytes ? resultExcess(limits) : null;
}

function resultExcess({ resultBytes }: EngineLimits): string {
  return `the answer is larger than ${resultBytes} bytes; ask for less, or use a job`;
}

/** Memory that is not backed by a file: pages of mapped datasets are the system's to take back. */
function ownMb(pid: number): number | null {
  try {
    const [, kilobytes] = /^RssAnon:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8')) ?? [];
    return kilobytes === undefined ? residentMb(pid) : Number(kilobytes) / 1024;
  } catch {
    return null;
  }
}

function sizeOf(path: string): number {
  return statSync(path, { throwIfNoEntry: false })?.size ?? 0;
}

function pick(names: readonly string[]): Record<string, string> {
  const picked: Record<string, string> = {};
  for (const name of names) {
    const value = process.env[name];
    if (value !== undefined) picked[name] = value;
  }
  return picked;
}
