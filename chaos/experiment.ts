/**
 * Experiment: one run. Three voters that work on nothing, workers with one slot each, a job that appends points at a rate,
 * and whoever strikes at them; in the end the sink is counted and the promise of the delivery is held against it.
 *
 * Invariant: when a run is over, however it ended, none of its processes and none of its mounts is left.
 */
import { setMaxListeners } from 'node:events';
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { ERRORS, type ErrorCode, PolarisError } from '../src/base/errors.ts';
import { SESSION_TTL_MS } from '../src/base/limits.ts';
import { builtPath } from '../src/base/package.ts';
import type { JobJson, RangesJson, VerifyJson } from '../src/http/job-json.ts';
import { Arena } from './arena.ts';
import { faketimeCommand, faketimeLibrary } from './clocks.ts';
import { type ClusterStatus, LocalCluster, type NodeSpec } from './cluster.ts';
import { countLines, p99, parseLine } from './count.ts';
import { mountSmall, unmount } from './disk-faults.ts';
import { brokenPromises } from './judge.ts';
import { Links } from './links.ts';
import { clockFile, NEMESIS, smallDiskNode } from './nemeses.ts';
import { Regrants } from './regrants.ts';
import type { Mode, NemesisName, Row, RowSpec } from './row.ts';
import { compressed, createStrikes, type Span } from './schedule.ts';
import type { Sink } from './sinks.ts';

export interface Plan {
  readonly seed: number;
  readonly workers: number;
  /** Points a second of one worker. */
  readonly rate: number;
  readonly crashEvery: Span;
  readonly commitEvery: number;
  /** Divides the intervals of crashes and points, and nothing else. */
  readonly compress: number;
}

export interface ProgressOfRun {
  readonly done: number;
  readonly total: number;
  readonly kills: number;
}

export interface RunOptions {
  readonly plan: Plan;
  readonly spec: RowSpec;
  readonly sink: Sink;
  /** Of this run alone: data directories, logs and the journal of crashes. */
  readonly dir: string;
  /** Letters, digits and low lines; names the run in its sink. */
  readonly name: string;
  /** Ends the run; whatever it started is ended before it throws. */
  readonly interrupted: AbortSignal;
  readonly onProgress: (progress: ProgressOfRun) => void;
}

/** Job types that crash by themselves, compiled as a node wants them. */
const JOBS_DIR = builtPath('chaos/jobs');
const VOTERS = ['v1', 'v2', 'v3'];
/** A grant is seen so late at most; a round of looks takes a few ms. */
const LOOK_EVERY_MS = 50;
/** Room for the log and its snapshots, and soon filled. */
const SMALL_DISK_KIBIBYTES = 65_536;
/** A point may be tried so often: a crash that meets the same one a few times is no poison. */
const MAX_ATTEMPTS = 100;
/** So many times the undisturbed duration, and this much on top, until a job counts as one that does not end. */
const PATIENCE = 10;
const PATIENCE_MS = 600_000;
const TRIES_MS = 60_000;

const OF_MODE: { readonly [name in Mode]: readonly NemesisName[] } = {
  soft: [],
  kill: ['kill'],
  leader: ['kill', 'leader'],
  none: [],
};

/** @throws PolarisError with the cluster's own code when the job is refused. */
export async function runExperiment(options: RunOptions): Promise<Row> {
  const over = new AbortController();
  // Each stream of strikes waits for it, and there may be many.
  setMaxListeners(0, over.signal);
  const stop = (): void => over.abort();
  options.interrupted.addEventListener('abort', stop);
  mkdirSync(options.dir, { recursive: true });
  const run = await Run.open(options, over.signal);
  const lastResort = (): void => run.killNow();
  process.once('exit', lastResort);
  try {
    return await run.toTheEnd(stop);
  } finally {
    stop();
    await run.close();
    process.off('exit', lastResort);
    options.interrupted.removeEventListener('abort', stop);
  }
}

class Run {
  readonly #options: RunOptions;
  readonly #arena: Arena;
  readonly #regrants: Regrants;
  readonly #nemeses: readonly NemesisName[];
  readonly #journal: string;
  readonly #mounted: string | null;
  readonly #fallen = new Set<string>();
  #crashes = 0;
  #strikers: Promise<unknown> = Promise.resolve();

  private constructor(options: RunOptions, arena: Arena, regrants: Regrants, mounted: string | null) {
    this.#options = options;
    this.#arena = arena;
    this.#regrants = regrants;
    this.#nemeses = nemesesOf(options.spec);
    this.#journal = journalOf(options);
    this.#mounted = mounted;
  }

  static async open(options: RunOptions, over: AbortSignal): Promise<Run> {
    const { plan, spec, dir } = options;
    const wanted = nemesesOf(spec).map((name) => NEMESIS[name]);
    const workers = Array.from({ length: plan.workers }, (_, at) => `w${at + 1}`);
    const ids = [...VOTERS, ...workers];
    let pidOf: (id: string) => number | null = () => null;
    const links = wanted.some((one) => one.needsLinks) ? await Links.open(ids, (id) => pidOf(id)) : null;
    const place = (id: string) => (links === null ? {} : { advertise: links.address(id) });
    const nodes: NodeSpec[] = [
      ...VOTERS.map((id) => ({ id, role: 'voter' as const, slots: 0, ...place(id) })),
      ...workers.map((id) => ({ id, role: 'worker' as const, slots: 1, ...place(id) })),
    ];
    // Finding out about a job type costs every start a process: only where it is needed.
    const flags = spec.mode === 'soft' ? ['--jobs', JOBS_DIR] : [];
    const cluster = await LocalCluster.create({ dir, nodes, flags });
    for (const id of ids) links?.lead(id, cluster.address(id));
    pidOf = (id) => (cluster.running(id) ? cluster.pid(id) : null);
    const mounted = wanted.some((one) => one.needsSmallDisk) ? cluster.dataDir(smallDiskNode(VOTERS)) : null;
    if (mounted !== null) mountSmall(mounted, SMALL_DISK_KIBIBYTES);
    const library = wanted.some((one) => one.needsClocks) ? faketimeLibrary() : null;
    if (library !== null) for (const id of VOTERS) writeFileSync(clockFile(cluster.dataDir(id)), '+0s\n');
    const wrap = (id: string): readonly string[] =>
      library === null || !VOTERS.includes(id) ? [] : faketimeCommand(library, clockFile(cluster.dataDir(id)));
    const regrants = new Regrants();
    const sessionTtlMs = SESSION_TTL_MS;
    const arena = new Arena({ cluster, voters: VOTERS, workers, sessionTtlMs, links, regrants, over, wrap });
    return new Run(options, arena, regrants, mounted);
  }

  async toTheEnd(stop: () => void): Promise<Row> {
    const { spec, sink, name, plan } = this.#options;
    for (const id of this.#arena.nodes) this.#arena.start(id);
    await this.#assembled();
    const id = await this.#submit();
    const startedAt = Date.now();
    this.#strikers = Promise.all(this.#streams());
    const ending = await this.#watched(id, startedAt);
    const endedAt = Date.now();
    stop();
    await this.#strikers;
    this.#interruptible();
    this.#readJournal();
    const verify = ending === null ? await this.#verify(id) : null;
    const count = countLines(await sink.read(name), { length: spec.length, startedAt, endedAt });
    const strikes = this.#arena.strikes + this.#crashes;
    const evidence = { spec, commitEvery: plan.commitEvery, strikes, count, verify, ending: ending ?? 'did' };
    return {
      ...spec,
      commitEvery: plan.commitEvery,
      kills: this.#arena.kills + this.#crashes,
      leaderKills: this.#arena.leaderKills,
      strikes,
      missing: count.missing.length,
      duplicates: count.duplicates.length,
      extraExecutions: count.extraExecutions,
      uncertain: (verify?.uncertain ?? []).reduce((sum, [start, end]) => sum + (end - start), 0),
      longestGapMs: count.longestGapMs,
      regrantMsP99: p99(this.#regrants.times),
      seconds: Math.round((endedAt - startedAt) / 100) / 10,
      broken: brokenPromises({ ...evidence, endedByThemselves: [...this.#fallen] }),
    };
  }

  async close(): Promise<void> {
    const { cluster, links } = this.#arena;
    // Whoever strikes starts nodes again: all must have come to their end first. What failed was thrown elsewhere.
    await this.#strikers.catch(() => {});
    await cluster.stop();
    await links?.close();
    if (this.#mounted !== null) unmount(this.#mounted);
  }

  /** When nothing can be waited for any more. */
  killNow(): void {
    for (const id of this.#arena.nodes) this.#arena.signalAll(id, 'SIGKILL', false);
  }

  // ---- the job ------------------------------------------------------------------------------------------------------

  /** All workers have a session. */
  async #assembled(): Promise<void> {
    await this.#insisted('the workers to join', async () => {
      const status = await this.#look<ClusterStatus>('/v1/cluster');
      return this.#arena.workers.every((id) => status?.workers.some((worker) => worker.id === id)) ? true : null;
    });
  }

  async #submit(): Promise<string> {
    const { spec, plan, sink, name } = this.#options;
    const intervalMs = 1_000 / plan.rate / plan.compress;
    const crash = { seed: plan.seed, ...compressed(plan.crashEvery, plan.compress), journal: this.#journal };
    const soft = spec.mode === 'soft';
    const body = {
      name: soft ? 'append-crashing' : 'append',
      start: 0,
      end: spec.length,
      metadata: { sink: sink.address(name), intervalMs, ...(soft ? { crash } : {}) },
      options: {
        delivery: spec.delivery,
        commitEvery: plan.commitEvery,
        maxAttempts: MAX_ATTEMPTS,
        tolerate: '100%',
      },
    };
    return this.#insisted('an answer to the submit', async () => {
      const answer = await this.#arena.cluster.request(VOTERS[0] ?? '', 'POST', '/v1/jobs', body).catch(() => null);
      if (answer === null || answer.status === 503) return null;
      const said = answer.body as { readonly id: string; readonly code?: string; readonly detail?: string };
      if (answer.status < 300) return said.id;
      const code = said.code !== undefined && said.code in ERRORS ? (said.code as ErrorCode) : 'BAD_REQUEST';
      throw new PolarisError(code, said.detail ?? `the submit was answered ${answer.status}`);
    });
  }

  /** Until the job is over; null when it is done, else how it stands. Rejects when one who strikes failed. */
  async #watched(id: string, startedAt: number): Promise<string | null> {
    const { plan, spec, onProgress } = this.#options;
    const undisturbedMs = (spec.length * 1_000) / plan.rate / plan.compress / plan.workers;
    const deadline = startedAt + PATIENCE * undisturbedMs + PATIENCE_MS;
    let failure: { readonly thrown: unknown } | null = null;
    this.#strikers.catch((thrown: unknown) => {
      failure = { thrown };
    });
    for (;;) {
      const job = await this.#look<JobJson>(`/v1/jobs/${id}`);
      const ranges = await this.#look<RangesJson>(`/v1/jobs/${id}/ranges`);
      this.#readJournal();
      if (ranges !== null) this.#regrants.seen(ranges.tasks, ranges.done, Date.now());
      this.#raiseTheFallen();
      this.#interruptible();
      if (failure !== null) throw (failure as { readonly thrown: unknown }).thrown;
      if (job !== null) {
        onProgress({ done: job.progress.done, total: spec.length, kills: this.#arena.kills + this.#crashes });
        if (job.state === 'done') return null;
        if (['failed', 'cancelled', 'paused'].includes(job.state)) {
          return `is ${job.state}${job.reason === null ? '' : `: ${job.reason}`}`;
        }
      }
      if (Date.now() > deadline) return `was not done after ${Math.round((Date.now() - startedAt) / 1_000)} s`;
      await this.#arena.pause(LOOK_EVERY_MS);
    }
  }

  async #verify(id: string): Promise<VerifyJson> {
    const { cluster } = this.#arena;
    // What was killed last may still be down.
    for (const node of this.#arena.nodes) if (!cluster.running(node)) this.#arena.start(node);
    return cluster.until('verify', () => this.#look<VerifyJson>(`/v1/jobs/${id}/verify`));
  }

  // ---- looks --------------------------------------------------------------------------------------------------------

  /** What the first voter says that says anything; null when none does just now. */
  async #look<T>(path: string): Promise<T | null> {
    for (const id of VOTERS) {
      if (!this.#arena.whole(id)) continue;
      const answer = await this.#arena.ask(id, path);
      if (answer !== null) return answer as T;
    }
    return null;
  }

  async #insisted<T>(what: string, ask: () => Promise<T | null>): Promise<T> {
    const deadline = Date.now() + TRIES_MS;
    for (;;) {
      this.#interruptible();
      const found = await ask();
      if (found !== null) return found;
      if (Date.now() > deadline) throw new PolarisError('TIMED_OUT', `waited ${TRIES_MS / 1_000} s for ${what}`);
      await this.#arena.pause(LOOK_EVERY_MS);
    }
  }

  #interruptible(): void {
    this.#options.interrupted.throwIfAborted();
  }

  /** Crashes of job code since the last look. */
  #readJournal(): void {
    if (!existsSync(this.#journal)) return;
    const lines = readFileSync(this.#journal, 'utf8').split('\n').slice(0, -1);
    for (const line of lines.slice(this.#crashes)) {
      const crash = parseLine(line);
      if (crash !== null) this.#regrants.taskFailed(crash.epoch, crash.point, crash.at);
    }
    this.#crashes = lines.length;
  }

  /** A node that ended by itself is remembered, and started again so that the rest can be seen too. */
  #raiseTheFallen(): void {
    for (const id of this.#arena.endedByThemselves()) {
      this.#fallen.add(id);
      this.#arena.start(id);
    }
  }

  // ---- strikes ------------------------------------------------------------------------------------------------------

  /** One loop for each stream; all end when the run is over, with everything made whole. */
  #streams(): Promise<void>[] {
    return this.#nemeses.flatMap((name) => {
      const victims = NEMESIS[name].eachWorker === true ? this.#arena.workers : [null];
      return victims.map((victim) => this.#strikeAgainAndAgain(name, victim));
    });
  }

  async #strikeAgainAndAgain(name: NemesisName, victim: string | null): Promise<void> {
    const { seed, crashEvery, compress } = this.#options.plan;
    const label = victim === null ? name : `${name} ${victim}`;
    const next = createStrikes({
      seed,
      label,
      every: spacing(this.#options.spec, name, compressed(crashEvery, compress)),
    });
    const { over } = this.#arena;
    while (!over.aborted) {
      const strike = next();
      await this.#arena.pause(strike.afterMs);
      if (!over.aborted) await NEMESIS[name].strike(this.#arena, strike, victim);
    }
  }
}

/** What the mode does, and what was asked for beside it, each once. */
function nemesesOf({ mode, nemeses }: RowSpec): NemesisName[] {
  return [...new Set([...OF_MODE[mode], ...nemeses])];
}

/** Nemeses that are mixed take turns: together they strike as often as one of them would alone. */
function spacing({ mode, nemeses }: RowSpec, name: NemesisName, every: Span): Span {
  const times = OF_MODE[mode].includes(name) ? 1 : Math.max(1, nemeses.length);
  return { minMs: every.minMs * times, maxMs: every.maxMs * times };
}

function journalOf({ dir }: RunOptions): string {
  return join(dir, 'crashes');
}
