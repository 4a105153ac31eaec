/**
 * A terminal that remembers: commands run against the real server code over a fake node, without sockets or processes.
 */
import { Readable } from 'node:stream';
import type { CliClient, CliIo } from '../../src/cli/io.ts';
import { main } from '../../src/cli/main.ts';
import { PolarisClient } from '../../src/client/client.ts';
import type { ClusterStatus } from '../../src/daemon/api.ts';
import type { FailuresJson, JobJson, RangesJson, VerifyJson } from '../../src/http/job-json.ts';
import type { ScheduleJson } from '../../src/http/schedules.ts';
import type { WorkerJson } from '../../src/http/workers.ts';
import { controlsOf, fillOptions } from '../../src/ranges/options.ts';

export const ID = '11111111-1111-4111-8111-111111111111';

export function jobOf(changes: Partial<Omit<JobJson, 'progress'>> & { progress?: Partial<JobJson['progress']> } = {}) {
  const progress = {
    ...{ total: 100, done: 0, failed: 0, uncertain: 0, leased: 0, pending: 100, reexecuted: 0 },
    ...{ ratePerSecond: null, etaSeconds: null },
    ...changes.progress,
  };
  const job: JobJson = {
    ...{ id: ID, name: 'mail', start: 0, end: 100, metadata: {}, input: null, state: 'pending', reason: null },
    options: fillOptions({}),
    controls: controlsOf(fillOptions({})),
    run: 1,
    ...{ createdAt: '2026-01-01T00:00:00.000Z', startedAt: null, finishedAt: null },
    ...changes,
    progress,
  };
  return job;
}

export function workerOf(changes: Partial<WorkerJson> = {}): WorkerJson {
  const worker = { id: 'w1', address: '127.0.0.1:1', slots: 4, busy: 3, draining: false, jobTypes: ['exec', 'mail'] };
  return { ...worker, ...changes };
}

export function scheduleOf(changes: Partial<ScheduleJson> = {}): ScheduleJson {
  return {
    ...{ key: 'nightly', cron: '0 3 * * *', timeZone: 'UTC', nextAt: '2026-01-02T03:00:00.000Z' },
    job: { name: 'mail', start: 0, end: 100, metadata: {}, options: fillOptions({}) },
    ...{ lastJob: ID, skipped: 2 },
    ...changes,
  };
}

/** When it is, wherever a command asks. */
export const NOW = Date.parse('2026-01-01T12:00:00Z');

export class FakeClient implements CliClient {
  readonly calls: unknown[][] = [];
  /** Of a cluster that is nowhere. */
  readonly datasets = new PolarisClient({ urls: ['http://127.0.0.1:1'] }).datasets;
  readonly queries = new PolarisClient({ urls: ['http://127.0.0.1:1'] }).queries;
  readonly results = new PolarisClient({ urls: ['http://127.0.0.1:1'] }).results;
  jobs: readonly JobJson[] = [jobOf()];
  verified: VerifyJson = {
    covered: true,
    missing: [],
    failed: [],
    uncertain: [],
    reexecuted: [],
    claim: 're-executed at most 0 times in all',
  };
  status: ClusterStatus = {
    ...{ id: 'c', leader: 'n1', term: 2, commitIndex: 9, appliedIndex: 9, protocol: 1, workers: [] },
    members: [],
  };
  failed: RangesJson['failed'] = [];
  wrong: FailuresJson = { failed: [], uncertain: [] };
  crew: readonly WorkerJson[] = [workerOf()];
  plans: readonly ScheduleJson[] = [scheduleOf()];
  file: Uint8Array = new Uint8Array(0);
  /** Thrown by every call when set. */
  failure: Error | null = null;

  submit(...args: Parameters<CliClient['submit']>): Promise<JobJson> {
    return this.answer('submit', args, this.last());
  }
  retry(...args: Parameters<CliClient['retry']>): Promise<JobJson> {
    return this.answer('retry', args, this.last());
  }
  failures(...args: Parameters<CliClient['failures']>): Promise<FailuresJson> {
    return this.answer('failures', args, this.wrong);
  }
  set(...args: Parameters<CliClient['set']>): Promise<JobJson> {
    return this.answer('set', args, this.last());
  }
  workers(...args: Parameters<CliClient['workers']>): Promise<readonly WorkerJson[]> {
    return this.answer('workers', args, this.crew);
  }
  drainWorker(...args: Parameters<CliClient['drainWorker']>): Promise<WorkerJson> {
    return this.answer('drainWorker', args, workerOf({ draining: args[1] ?? true }));
  }
  schedules(...args: Parameters<CliClient['schedules']>): Promise<readonly ScheduleJson[]> {
    return this.answer('schedules', args, this.plans);
  }
  putSchedule(...args: Parameters<CliClient['putSchedule']>): Promise<ScheduleJson> {
    return this.answer('putSchedule', args, scheduleOf({ key: args[0] }));
  }
  dropSchedule(...args: Parameters<CliClient['dropSchedule']>): Promise<void> {
    return this.answer('dropSchedule', args, undefined);
  }
  list(...args: Parameters<CliClient['list']>): Promise<readonly JobJson[]> {
    return this.answer('list', args, this.jobs);
  }
  show(...args: Parameters<CliClient['show']>): Promise<JobJson> {
    return this.answer('show', args, this.last());
  }
  ranges(...args: Parameters<CliClient['ranges']>): Promise<RangesJson> {
    return this.answer('ranges', args, { done: [], pending: [], tasks: [], failed: this.failed });
  }
  verify(...args: Parameters<CliClient['verify']>): Promise<VerifyJson> {
    return this.answer('verify', args, this.verified);
  }
  pause(...args: Parameters<CliClient['pause']>): Promise<JobJson> {
    return this.answer('pause', args, jobOf({ state: 'paused' }));
  }
  resume(...args: Parameters<CliClient['resume']>): Promise<JobJson> {
    return this.answer('resume', args, jobOf({ state: 'running' }));
  }
  cancel(...args: Parameters<CliClient['cancel']>): Promise<JobJson> {
    return this.answer('cancel', args, jobOf({ state: 'cancelled' }));
  }
  cluster(...args: Parameters<CliClient['cluster']>): Promise<ClusterStatus> {
    return this.answer('cluster', args, this.status);
  }
  node(...args: Parameters<CliClient['node']>): ReturnType<CliClient['node']> {
    return this.answer('node', args, { id: 'n4', instanceId: 'i4', address: '127.0.0.1:4' });
  }
  addMember(...args: Parameters<CliClient['addMember']>): Promise<ClusterStatus> {
    return this.answer('addMember', args, this.status);
  }
  removeMember(...args: Parameters<CliClient['removeMember']>): Promise<ClusterStatus> {
    return this.answer('removeMember', args, this.status);
  }
  promoteMember(...args: Parameters<CliClient['promoteMember']>): Promise<ClusterStatus> {
    return this.answer('promoteMember', args, this.status);
  }
  transfer(...args: Parameters<CliClient['transfer']>): Promise<ClusterStatus> {
    return this.answer('transfer', args, this.status);
  }
  backup(...args: Parameters<CliClient['backup']>): Promise<Uint8Array> {
    return this.answer('backup', args, this.file);
  }
  /** Looks at each of `jobs` in turn; the last one is the end. */
  async wait(...args: Parameters<CliClient['wait']>): Promise<JobJson> {
    for (const job of this.jobs) args[1]?.onLook?.(job);
    return this.answer('wait', args, this.last());
  }

  private async answer<T>(name: string, args: readonly unknown[], value: T): Promise<T> {
    this.calls.push([name, ...args]);
    if (this.failure !== null) throw this.failure;
    return value;
  }

  private last(): JobJson {
    return this.jobs.at(-1) ?? jobOf();
  }
}

export interface Ran {
  readonly exit: number;
  readonly stdout: string;
  readonly stderr: string;
  /** The addresses that were connected to. */
  readonly urls: readonly string[];
}

export async function run(
  argv: readonly string[],
  options: {
    client?: CliClient;
    environment?: Record<string, string>;
    tty?: boolean;
    columns?: number;
    interrupted?: boolean;
    stdin?: AsyncIterable<Uint8Array>;
  } = {},
): Promise<Ran> {
  const written = { stdout: '', stderr: '', urls: [] as readonly string[] };
  const controller = new AbortController();
  if (options.interrupted === true) controller.abort();
  const terminal = { isTTY: options.tty ?? false, columns: options.columns ?? 120 };
  const io: CliIo = {
    stdout: { write: (data) => (written.stdout += textOf(data)), ...terminal },
    stderr: { write: (data) => (written.stderr += textOf(data)), ...terminal },
    stdin: () => options.stdin ?? Readable.from([]),
    environment: options.environment ?? {},
    connect: async (urls) => {
      written.urls = urls;
      return options.client ?? new FakeClient();
    },
    interruptible: () => ({ signal: controller.signal, release() {} }),
    now: () => NOW,
  };
  const exit = await main(argv, io);
  return { exit, ...written };
}

/** Bytes as one character each, so that nothing of them is lost. */
function textOf(data: string | Uint8Array): string {
  return typeof data === 'string' ? data : Buffer.from(data).toString('latin1');
}
