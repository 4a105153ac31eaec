/**
 * A real executor with real job hosts, and everything that it says as a list that a test can wait on.
 */
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach } from 'vitest';
import { must } from '../../src/base/assert.ts';
import { SILENT } from '../../src/base/log.ts';
import type { Epoch, Point } from '../../src/base/types.ts';
import type { Executor, ExecutorEnding, TaskBlobs } from '../../src/daemon/env.ts';
import { monotonicMs } from '../../src/jobtype/deadline.ts';
import { createExecutor } from '../../src/jobtype/executor.ts';
import type { LoadedTypes } from '../../src/jobtype/loader.ts';
import { windowEnd } from '../../src/ranges/lease.ts';
import { fillOptions } from '../../src/ranges/options.ts';
import type { Delivery, StampedCheckpoint, StampedOutput } from '../../src/ranges/types.ts';
import type { TaskOrder } from '../../src/wire/messages.ts';
import { HOST_ENTRY, loadTestTypes } from './paths.ts';

export type Happening =
  | {
      readonly kind: 'progress';
      readonly epoch: Epoch;
      readonly cursor: Point;
      readonly begun: Point;
      readonly outputs: readonly StampedOutput[];
    }
  | { readonly kind: 'checkpoint'; readonly epoch: Epoch; readonly checkpoint: StampedCheckpoint }
  | ({ readonly kind: 'ended' } & ExecutorEnding)
  | { readonly kind: 'line'; readonly epoch: Epoch | null; readonly source: string; readonly line: string }
  | { readonly kind: 'host-started'; readonly pid: number }
  | { readonly kind: 'host-ended'; readonly pid: number; readonly reason: string };

let types: Promise<LoadedTypes> | null = null;

export function testTypes(): Promise<LoadedTypes> {
  types ??= loadTestTypes();
  return types;
}

const opened: Bench[] = [];

afterEach(async () => {
  for (const bench of opened.splice(0)) await bench.close();
});

/** `commit: true` commits every cursor at once, as a leader would a little later. */
export async function openBench(options: { commit: boolean; slots?: number; blobs?: TaskBlobs }): Promise<Bench> {
  const bench = new Bench(await testTypes(), options.commit, options.slots ?? 2, options.blobs);
  opened.push(bench);
  return bench;
}

export function makeDataDir(): string {
  return mkdtempSync(join(tmpdir(), 'polaris-jobtype-'));
}

export class Bench {
  readonly dataDir = makeDataDir();
  readonly executor: Executor;
  readonly happenings: Happening[] = [];
  readonly #orders = new Map<Epoch, TaskOrder>();
  #wakeUps: (() => void)[] = [];
  #epoch = 0;
  #stopped = false;

  constructor(loaded: LoadedTypes, commit: boolean, slots: number, blobs?: TaskBlobs) {
    const log = { ...SILENT, info: (fields: object, event: string) => this.#log(fields, event) };
    const { dataDir } = this;
    this.executor = createExecutor({ types: loaded, slots, dataDir, log, hostEntry: HOST_ENTRY, nodeId: 'n1' });
    if (blobs !== undefined) this.executor.useBlobs(blobs);
    this.executor.start({
      progress: (epoch, cursor, begun, outputs) => {
        this.#happened({ kind: 'progress', epoch, cursor, begun, outputs });
        if (commit) this.commit(epoch, cursor);
      },
      checkpoint: (epoch, checkpoint) => {
        this.#happened({ kind: 'checkpoint', epoch, checkpoint });
        if (commit) this.executor.checkpointed(epoch, checkpoint.stage);
      },
      ended: (ending) => this.#happened({ kind: 'ended', ...ending }),
    });
  }

  /** Runs a task of 10 points, where nothing else is said, and gives its epoch. */
  run(
    name: string,
    fields: Partial<Omit<TaskOrder, 'metadata' | 'options'>> & {
      metadata?: object;
      commitEvery?: number;
      delivery?: Delivery;
      taskTimeoutMs?: number;
      memoryMb?: number;
    },
  ): Epoch {
    this.#epoch += 1;
    const { metadata = {}, commitEvery = 100, delivery = 'at-least-once', ...more } = fields;
    const { taskTimeoutMs = null, memoryMb = null, ...rest } = more;
    const options = fillOptions({ commitEvery, commitIntervalMs: 20, delivery, taskTimeoutMs, memoryMb });
    const start = fields.start ?? 0;
    const order: TaskOrder = {
      epoch: this.#epoch,
      job: `${name}-job`,
      name,
      start,
      end: 10,
      cursor: start,
      claimed: start,
      metadata: JSON.stringify(metadata),
      options,
      attempts: 0,
      input: null,
      checkpoint: null,
      ...rest,
    };
    this.#orders.set(this.#epoch, order);
    this.executor.run(order);
    return this.#epoch;
  }

  /** The cursor, and at most once what is claimed, is committed. */
  commit(epoch: Epoch, cursor: Point, claimed = cursor): void {
    const { end, options } = must(this.#orders.get(epoch), 'a task that runs was ordered');
    this.executor.committed(epoch, cursor, windowEnd({ cursor, claimed, end }, options));
  }

  /** The first happening, past or to come, for which `match` gives something. */
  async when<T>(match: (happening: Happening) => T | null): Promise<T> {
    for (let index = 0; ; index += 1) {
      while (index >= this.happenings.length) await new Promise<void>((resolve) => this.#wakeUps.push(resolve));
      const happening = this.happenings[index];
      const found = happening === undefined ? null : match(happening);
      if (found !== null) return found;
    }
  }

  /** Where an attempt stood when it ended, and how it did. */
  async ending(epoch: Epoch): Promise<Omit<ExecutorEnding, 'outputs'>> {
    const { outputs: _, ...ending } = await this.fullEnding(epoch);
    return ending;
  }

  /** The same with the outputs that were told with it. */
  fullEnding(epoch: Epoch): Promise<ExecutorEnding> {
    return this.when((happening) => {
      if (happening.kind !== 'ended' || happening.epoch !== epoch) return null;
      const { kind: _, ...ending } = happening;
      return ending;
    });
  }

  line(text: string | RegExp): Promise<string> {
    return this.when((happening) => {
      if (happening.kind !== 'line') return null;
      const fits = typeof text === 'string' ? happening.line === text : text.test(happening.line);
      return fits ? happening.line : null;
    });
  }

  lines(source = 'log'): readonly string[] {
    return this.happenings.flatMap((happening) =>
      happening.kind === 'line' && happening.source === source ? [happening.line] : [],
    );
  }

  progressed(epoch: Epoch, cursor: Point): Promise<Point> {
    return this.when((happening) =>
      happening.kind === 'progress' && happening.epoch === epoch && happening.cursor >= cursor ? happening.begun : null,
    );
  }

  hostStarts(): readonly number[] {
    return this.happenings.flatMap((happening) => (happening.kind === 'host-started' ? [happening.pid] : []));
  }

  hostEnd(): Promise<string> {
    return this.when((happening) => (happening.kind === 'host-ended' ? happening.reason : null));
  }

  records(): readonly string[] {
    return readdirSync(join(this.dataDir, 'hosts'));
  }

  stop(): Promise<void> {
    this.#stopped = true;
    return new Promise((resolve) => this.executor.stop(resolve));
  }

  async close(): Promise<void> {
    if (!this.#stopped) await this.stop();
    rmSync(this.dataDir, { recursive: true, force: true });
  }

  #log(fields: object, event: string): void {
    const said = fields as { epoch: Epoch | null; source: string; line: string; pid: number; reason: string };
    const { epoch, source, line, pid, reason } = said;
    if (event === 'job output') this.#happened({ kind: 'line', epoch, source, line });
    if (event === 'job host started') this.#happened({ kind: 'host-started', pid });
    if (event === 'job host ended') this.#happened({ kind: 'host-ended', pid, reason });
  }

  #happened(happening: Happening): void {
    this.happenings.push(happening);
    const wakeUps = this.#wakeUps;
    this.#wakeUps = [];
    for (const wakeUp of wakeUps) wakeUp();
  }
}

export function inMs(delayMs: number): number {
  return monotonicMs() + delayMs;
}

/** Resolves once the process runs no more: gone, or a zombie. Nothing else tells of the end of a stranger. */
export async function goneProcess(pid: number): Promise<void> {
  while (runs(pid)) await new Promise((resolve) => setImmediate(resolve));
}

export function runs(pid: number): boolean {
  return !['', 'Z', 'X'].includes(stateOf(pid));
}

/** As in /proc; empty when there is no such process. */
function stateOf(pid: number): string {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
    return stat[stat.lastIndexOf(')') + 2] ?? '';
  } catch {
    return '';
  }
}

/** Resolves once the system shows the process as stopped. */
export async function stoppedProcess(pid: number): Promise<void> {
  while (stateOf(pid) !== 'T') await new Promise((resolve) => setImmediate(resolve));
}
