/**
 * PolarisClient: the HTTP interface as methods, with the patience that a cluster asks for.
 *
 * It is given one address or several and tries the next one when a node is gone. What the server calls retryable is
 * tried again within the time of the call. That is safe because every write carries its own identity: a submit has its
 * id before it is first sent, and pausing what is paused changes nothing.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import type { RecordBatch, Table } from 'apache-arrow';
import { v4 } from 'uuid';
import { type ErrorCode, PolarisError } from '../base/errors.ts';
import {
  BACKUP_WAIT_MS,
  CLIENT_TIMEOUT_MS,
  PAGE_ITEMS_DEFAULT,
  PAGE_ITEMS_MAX,
  WATCH_INTERVAL_MS,
} from '../base/limits.ts';
import type { Json } from '../base/types.ts';
import type { ClusterStatus } from '../daemon/api.ts';
import type { CacheJson } from '../http/cache.ts';
import type { DatasetJson } from '../http/datasets.ts';
import type { FailuresJson, JobJson, RangeJson, RangesJson, VerifyJson } from '../http/job-json.ts';
import type { NodeJson } from '../http/members.ts';
import type { ScheduleJson } from '../http/schedules.ts';
import type { WorkerJson } from '../http/workers.ts';
import type { Controls, JobState } from '../ranges/types.ts';
import { noAnswer, parseAnswer, problemError, type Tried } from './answers.ts';
import { Datasets, type KeepOptions, type ReadOptions } from './datasets.ts';
import { type Health, healthOf } from './health.ts';
import { Queries, type QueryOptions } from './query.ts';
import { Results } from './results.ts';
import { type StoreOptions, type TableLike, Tables } from './tables.ts';
import { Tries, type Unsure } from './tries.ts';

export interface ClientOptions {
  /** Base addresses of nodes, such as `http://127.0.0.1:7070`; any of them answers everything. */
  readonly urls: readonly string[];
  /** For one call with all its tries; 15 s by default. */
  readonly timeoutMs?: number;
}

/** A job as it is asked for. */
export interface JobRequest {
  /** The job type. */
  readonly name: string;
  readonly start: number;
  readonly end: number;
  readonly metadata?: { readonly [key: string]: Json };
  /** Any of JobOptions; those left out have their defaults. */
  readonly options?: { readonly [key: string]: Json };
}

export interface SubmitRequest extends Omit<JobRequest, 'start' | 'end'> {
  /** Both may be left out with an input, for all of its rows, and for a job type whose Master plans. */
  readonly start?: number;
  readonly end?: number;
  /** Name of a dataset: point p is its row p, as it is at the submit, whatever is put in its place later. */
  readonly input?: string;
  /** A UUIDv4; drawn when left out. */
  readonly id?: string;
}

export interface ScheduleRequest {
  /** Five fields or six: `0 3 * * *` is at three each night. */
  readonly cron: string;
  /** `UTC` when left out. */
  readonly timeZone?: string;
  readonly job: JobRequest;
}

export interface ListOptions {
  /** At most so many, 100 when left out; more than a page are fetched page by page. */
  readonly limit?: number;
  readonly state?: JobState;
}

export interface RetryOptions {
  /** `[start, end)`; everywhere without it. */
  readonly range?: RangeJson;
  /** Uncertain points too, which may then take effect a second time. */
  readonly uncertain?: boolean;
}

export interface WaitOptions {
  /** Without it there is no end to the wait. */
  readonly timeoutMs?: number;
  /** Called with each look at the job, the last one too. */
  readonly onLook?: (job: JobJson) => void;
  /** Ends the wait early with the signal's reason. */
  readonly signal?: AbortSignal;
}

/** One request whose answer is JSON, or bytes that fit into memory. */
export interface Call {
  readonly method: 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE';
  readonly path: string;
  readonly body?: object;
  readonly headers?: Readonly<Record<string, string>>;
  /** Retryable codes that the caller has an answer of its own for. */
  readonly finals?: readonly ErrorCode[];
  readonly timeoutMs?: number;
  readonly signal?: AbortSignal | undefined;
  /** The answer is a file, which may take the whole time to arrive. */
  readonly bytes?: boolean;
  /** Goes on for its whole time even while no node can be reached: for waits, which outlive a restart. */
  readonly patient?: boolean;
}

type JobAction = 'pause' | 'resume' | 'cancel';

const FINISHED: readonly JobState[] = ['done', 'failed', 'cancelled'];
/** States in which an action has had its way, so that its repetition after an unknown outcome is a success. */
const AIM: { readonly [action in JobAction]: readonly JobState[] } = {
  pause: ['paused'],
  resume: ['pending', 'running'],
  cancel: ['cancelled'],
};

export class PolarisClient {
  readonly datasets: Datasets;
  readonly queries: Queries;
  /** What jobs have made. */
  readonly results: Results;
  readonly #tries: Tries;
  readonly #timeoutMs: number;
  readonly #tables: Tables;

  constructor(options: ClientOptions) {
    this.#timeoutMs = options.timeoutMs ?? CLIENT_TIMEOUT_MS;
    this.#tries = new Tries(options.urls, this.#timeoutMs);
    this.datasets = new Datasets({
      tries: this.#tries,
      call: (call, unsure) => this.#call(call, unsure),
      pages: (name, limit) => this.#pages(name, limit),
    });
    this.queries = new Queries(this.#tries);
    this.results = new Results({ tries: this.#tries, call: (call) => this.#call(call) });
    this.#tables = new Tables(this.datasets, this.#tries);
  }

  /** The job, new or as it was when the same was submitted before. @throws PolarisError with the server's code */
  submit(request: SubmitRequest): Promise<JobJson> {
    return this.#call({ method: 'POST', path: '/v1/jobs', body: { ...request, id: request.id ?? v4() } });
  }

  /** Newest first. */
  list({ limit = PAGE_ITEMS_DEFAULT, state }: ListOptions = {}): Promise<readonly JobJson[]> {
    return this.#pages<JobJson>('jobs', limit, state === undefined ? {} : { state });
  }

  /** Ids may be shortened where unambiguous, here and below. */
  show(id: string): Promise<JobJson> {
    return this.#call({ method: 'GET', path: jobPath(id) });
  }

  ranges(id: string): Promise<RangesJson> {
    return this.#call({ method: 'GET', path: `${jobPath(id)}/ranges` });
  }

  verify(id: string): Promise<VerifyJson> {
    return this.#call({ method: 'GET', path: `${jobPath(id)}/verify` });
  }

  pause(id: string): Promise<JobJson> {
    return this.#control(id, 'pause');
  }

  resume(id: string): Promise<JobJson> {
    return this.#control(id, 'resume');
  }

  /** What failed (and what is uncertain, if asked) within `range`, or everywhere, is worked again. */
  async retry(id: string, options: RetryOptions = {}): Promise<JobJson> {
    const { range, uncertain = false } = options;
    const body = { uncertain, ...(range === undefined ? {} : { range }) };
    const unsure = { outcome: false };
    try {
      return await this.#call({ method: 'POST', path: `${jobPath(id)}/retry`, body }, unsure);
    } catch (thrown) {
      // An earlier try may have been the one that left nothing to retry.
      if (unsure.outcome && thrown instanceof PolarisError && thrown.code === 'WRONG_STATE') return this.show(id);
      throw thrown;
    }
  }

  /** Other controls from now on, for a job that is not finished; what is left out stays. */
  set(id: string, options: Partial<Controls>): Promise<JobJson> {
    return this.#call({ method: 'PATCH', path: jobPath(id), body: { options } });
  }

  /** Failed and uncertain ranges, with who, when and why. */
  failures(id: string): Promise<FailuresJson> {
    return this.#call({ method: 'GET', path: `${jobPath(id)}/failures` });
  }

  cancel(id: string): Promise<JobJson> {
    return this.#control(id, 'cancel');
  }

  /** All of them, in the order of their ids. */
  workers(): Promise<readonly WorkerJson[]> {
    return this.#pages<WorkerJson>('workers', Number.POSITIVE_INFINITY);
  }

  /** Lets a worker hold nothing, or take tasks again; answered once it knows. */
  drainWorker(id: string, draining = true): Promise<WorkerJson> {
    return this.#call({ method: 'POST', path: `/v1/workers/${encodeURIComponent(id)}/drain`, body: { draining } });
  }

  /** All of them, in the order of their keys. */
  schedules(): Promise<readonly ScheduleJson[]> {
    return this.#pages<ScheduleJson>('schedules', Number.POSITIVE_INFINITY);
  }

  schedule(key: string): Promise<ScheduleJson> {
    return this.#call({ method: 'GET', path: schedulePath(key) });
  }

  /** Puts a schedule in place of the one of this key, if there is one. */
  putSchedule(key: string, schedule: ScheduleRequest): Promise<ScheduleJson> {
    return this.#call({ method: 'PUT', path: schedulePath(key), body: schedule });
  }

  /** The jobs that it submitted stay. @throws PolarisError NOT_FOUND */
  async dropSchedule(key: string): Promise<void> {
    const unsure = { outcome: false };
    try {
      await this.#call({ method: 'DELETE', path: schedulePath(key) }, unsure);
    } catch (thrown) {
      // An earlier try may have been the one that took it away.
      if (!unsure.outcome || !(thrown instanceof PolarisError) || thrown.code !== 'NOT_FOUND') throw thrown;
    }
  }

  /** As one node sees it. */
  cluster(): Promise<ClusterStatus> {
    return this.#call({ method: 'GET', path: '/v1/cluster' });
  }

  /** Who answers at the first url. */
  node(): Promise<NodeJson> {
    return this.#call({ method: 'GET', path: '/v1/node' });
  }

  /** Takes a node in, as a learner that becomes a voter once it has caught up, unless `promote` is false. */
  addMember(member: NodeJson & { readonly promote?: boolean }): Promise<ClusterStatus> {
    return this.#call({ method: 'POST', path: '/v1/cluster/members', body: member });
  }

  /** @param force though it may be the last with a copy of some batches. @throws PolarisError BLOBS_MOVING without it */
  removeMember(id: string, { force = false } = {}): Promise<ClusterStatus> {
    const query = force ? '?force=true' : '';
    return this.#call({ method: 'DELETE', path: `/v1/cluster/members/${encodeURIComponent(id)}${query}` });
  }

  promoteMember(id: string): Promise<ClusterStatus> {
    return this.#call({ method: 'POST', path: `/v1/cluster/members/${encodeURIComponent(id)}/promote` });
  }

  /** Answered once the transfer has begun; who leads then is seen in `cluster`. */
  transfer(to: string): Promise<ClusterStatus> {
    return this.#call({ method: 'POST', path: '/v1/cluster/transfer', body: { to } });
  }

  /** The whole cluster as one file, for `polaris cluster restore`. */
  backup(): Promise<Uint8Array> {
    return this.#call({ method: 'GET', path: '/v1/cluster/backup', bytes: true, timeoutMs: BACKUP_WAIT_MS });
  }

  // ---- tables of apache-arrow, which is loaded by the first of these calls and not before ------------------------------

  /** A table, or columns, under a name. @throws PolarisError BAD_DATA for none, and for some of several lengths */
  store(name: string, table: TableLike, options?: KeepOptions): Promise<DatasetJson>;
  /** The same under a name among the options, or under one that is drawn for it and stands in the answer. */
  store(table: TableLike, options?: StoreOptions): Promise<DatasetJson>;
  store(
    first: string | TableLike,
    second: TableLike | StoreOptions = {},
    third: KeepOptions = {},
  ): Promise<DatasetJson> {
    if (typeof first !== 'string') return this.#tables.store(first, second as StoreOptions);
    return this.#tables.store(second as TableLike, { ...third, name: first });
  }

  /** Many tables by their names, up to a hundred in one request. @throws StoreBatchError with what was stored and what was not */
  storeBatch(
    tables: ReadonlyMap<string, TableLike> | { readonly [name: string]: TableLike },
    options: KeepOptions = {},
  ): Promise<ReadonlyMap<string, DatasetJson>> {
    return this.#tables.storeBatch(tables, options);
  }

  /** A whole dataset, in memory. */
  load(name: string, options: ReadOptions = {}): Promise<Table> {
    return this.#tables.load(name, options);
  }

  /** Batch by batch, as they come, for datasets larger than memory. */
  loadStream(name: string, options: ReadOptions = {}): AsyncGenerator<RecordBatch, void, void> {
    return this.#tables.loadStream(name, options);
  }

  /** The answer to SQL over datasets, in memory. @throws PolarisError BAD_QUERY, NOT_FOUND, QUERY_TOO_LARGE, TIMED_OUT */
  query(sql: string, options: QueryOptions = {}): Promise<Table> {
    return this.queries.table(sql, options);
  }

  /** The same batch by batch, as they come. */
  queryStream(sql: string, options: QueryOptions = {}): AsyncGenerator<RecordBatch, void, void> {
    return this.queries.batches(sql, options);
  }

  // ---- looking at nodes ----------------------------------------------------------------------------------------------

  /** Asks every url at once. Never throws: a node that cannot be reached is one that is not ready. */
  healthCheck(): Promise<Health> {
    return healthOf(this.#tries.urls);
  }

  /** Of the node that answers first: how often a piece of another node was at hand. */
  cacheStats(): Promise<CacheJson> {
    return this.#call({ method: 'GET', path: '/v1/cache' });
  }

  /** The job once it is done, failed or cancelled. @throws PolarisError TIMED_OUT */
  async wait(id: string, options: WaitOptions = {}): Promise<JobJson> {
    const giveUpAt = options.timeoutMs === undefined ? Number.POSITIVE_INFINITY : performance.now() + options.timeoutMs;
    for (;;) {
      const leftMs = giveUpAt - performance.now();
      if (leftMs <= 0) throw new PolarisError('TIMED_OUT', `job ${id} was not finished in time`);
      const timeoutMs = Math.min(this.#timeoutMs, leftMs);
      const look = { path: jobPath(id), timeoutMs, signal: options.signal, patient: true };
      const job = await this.#call<JobJson>({ method: 'GET', ...look });
      options.onLook?.(job);
      if (FINISHED.includes(job.state)) return job;
      const pauseMs = Math.max(0, Math.min(WATCH_INTERVAL_MS, giveUpAt - performance.now()));
      await sleep(pauseMs, undefined, options.signal === undefined ? {} : { signal: options.signal });
    }
  }

  async #control(id: string, action: JobAction): Promise<JobJson> {
    const unsure = { outcome: false };
    try {
      return await this.#call({ method: 'POST', path: `${jobPath(id)}/${action}` }, unsure);
    } catch (thrown) {
      if (!unsure.outcome || !(thrown instanceof PolarisError) || thrown.code !== 'WRONG_STATE') throw thrown;
      const job = await this.show(id);
      if (AIM[action].includes(job.state)) return job;
      throw thrown;
    }
  }

  /** At most `limit` items of a list, page by page. */
  async #pages<T>(name: string, limit: number, filter: { readonly [key: string]: string } = {}): Promise<readonly T[]> {
    const items: T[] = [];
    let after: string | null = null;
    do {
      const count = String(Math.min(limit - items.length, PAGE_ITEMS_MAX));
      const query = new URLSearchParams({ limit: count, ...filter, ...(after === null ? {} : { after }) });
      const page: Page<T> = await this.#call({ method: 'GET', path: `/v1/${name}?${query}` });
      items.push(...(page[name] ?? []));
      after = page.next;
    } while (after !== null && items.length < limit);
    return items;
  }

  /** Tries until it is answered for good or out of time. `unsure.outcome` is set when a try may have had its effect. */
  #call<T>(call: Call, unsure?: Unsure): Promise<T> {
    const { timeoutMs, signal, patient, bytes: isLong, finals } = call;
    const options = { timeoutMs, signal, patient, isLong, finals, unsure };
    return this.#tries.run(options, (url, tryMs) => this.#try<T>(call, url, tryMs));
  }

  async #try<T>(call: Call, url: string, tryMs: number): Promise<Tried<T>> {
    const timeout = AbortSignal.timeout(Math.ceil(tryMs));
    try {
      const response = await fetch(`${url}${call.path}`, {
        method: call.method,
        signal: call.signal === undefined ? timeout : AbortSignal.any([timeout, call.signal]),
        redirect: 'error',
        headers: { ...call.headers, ...(call.body === undefined ? {} : { 'content-type': 'application/json' }) },
        ...(call.body === undefined ? {} : { body: JSON.stringify(call.body) }),
      });
      if (response.ok && call.bytes === true) {
        return { ok: true, value: new Uint8Array(await response.arrayBuffer()) as T };
      }
      const text = await response.text();
      if (response.ok) return { ok: true, value: parseAnswer(text, url) as T };
      return { ok: false, error: problemError(text, response.status, url) };
    } catch (thrown) {
      if (call.signal?.aborted === true) throw call.signal.reason;
      if (thrown instanceof PolarisError) throw thrown;
      return { ok: false, error: noAnswer(thrown, url, !timeout.aborted) };
    }
  }
}

type Page<T> = { readonly [name: string]: readonly T[] } & { readonly next: string | null };

function schedulePath(key: string): string {
  return `/v1/schedules/${encodeURIComponent(key)}`;
}

function jobPath(id: string): string {
  return `/v1/jobs/${encodeURIComponent(id)}`;
}
