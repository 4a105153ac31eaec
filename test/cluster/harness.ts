/**
 * A cluster of real processes for one test, with what the tests ask of it: jobs over HTTP and the command line, the logs
 * of the nodes as events, and the lines that the job type `append` wrote.
 *
 * Every wait is for an event. Times are printed and never judged: this machine may be as slow as it likes.
 */
import { execFile } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterEach, vi } from 'vitest';
import { type Answer, LocalCluster, type NodeSpec, PROGRAM } from '../../chaos/cluster.ts';
import type { JobJson, RangesJson, VerifyJson } from '../../src/http/job-json.ts';
import { type Line, readLines } from './lines.ts';

/** Job types that misbehave, each in its own way. */
export const JOBS_DIR = fileURLToPath(new URL('./jobs', import.meta.url));
/** A session that outlives every wait: what is given away before its end was given away for another reason. */
export const LONG_TTL = ['--session-ttl-ms', '150000'];

// Two waits of the harness: whatever hangs is named by the wait that it hangs in, not by the end of the test.
vi.setConfig({ testTimeout: 300_000 });

export interface Submission {
  readonly id?: string;
  readonly name: string;
  /** Both are left out where the Master of the type plans. */
  readonly start?: number;
  readonly end?: number;
  readonly input?: string;
  readonly metadata?: object;
  readonly options?: object;
}

export type Task = RangesJson['tasks'][number];

/** One record of a node's log. */
export interface LogRecord {
  readonly msg: string;
  readonly [field: string]: unknown;
}

export interface CommandResult {
  readonly exit: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** Prints a measured time or count beside the test. */
export function report(text: string): void {
  process.stdout.write(`    ${text}\n`);
}

export function voters(slots: number, ids: readonly string[] = ['n1', 'n2', 'n3']): NodeSpec[] {
  return ids.map((id) => ({ id, role: 'voter', slots }));
}

export function worker(id: string, slots: number): NodeSpec {
  return { id, role: 'worker', slots };
}

const opened: Scene[] = [];

afterEach(async ({ task }) => {
  const red = task.result?.state === 'fail';
  for (const scene of opened.splice(0)) {
    await scene.cluster.stop();
    if (red) report(`logs and files are kept in ${scene.dir}`);
    else rmSync(scene.dir, { recursive: true, force: true });
  }
});

/** Starts the nodes; they are ended after the test, and their directory goes when it was green. */
export async function openScene(nodes: readonly NodeSpec[], flags: readonly string[] = []): Promise<Scene> {
  const scene = await prepareScene(nodes, flags);
  scene.cluster.start();
  await scene.cluster.leader();
  return scene;
}

/** The same with no node started yet. */
export async function prepareScene(nodes: readonly NodeSpec[], flags: readonly string[] = []): Promise<Scene> {
  const dir = mkdtempSync(join(tmpdir(), 'polaris-cluster-'));
  const cluster = await LocalCluster.create({ dir, nodes, flags });
  const scene = new Scene(cluster, dir);
  opened.push(scene);
  return scene;
}

export class Scene {
  readonly cluster: LocalCluster;
  readonly dir: string;

  constructor(cluster: LocalCluster, dir: string) {
    this.cluster = cluster;
    this.dir = dir;
  }

  // ---- jobs -------------------------------------------------------------------------------------------------------

  /** Metadata of an append job that writes `name` in the directory of the scene. */
  sink(name: string, intervalMs = 0): { readonly sink: string; readonly intervalMs: number } {
    return { sink: `file:${join(this.dir, name)}`, intervalMs };
  }

  lines(name: string): Line[] {
    return readLines(join(this.dir, name));
  }

  /** Submits through any running node until it is answered with 201 or 200; another refusal is thrown. */
  async submit(submission: Submission): Promise<JobJson> {
    const answer = await this.#ask('POST', '/v1/jobs', submission);
    if (answer.status >= 300) throw new Error(`${answer.status}: ${JSON.stringify(answer.body)}`);
    return answer.body as JobJson;
  }

  async job(id: string): Promise<JobJson> {
    return (await this.#ask('GET', `/v1/jobs/${id}`)).body as JobJson;
  }

  async ranges(id: string): Promise<RangesJson> {
    return (await this.#ask('GET', `/v1/jobs/${id}/ranges`)).body as RangesJson;
  }

  async verify(id: string): Promise<VerifyJson> {
    return (await this.#ask('GET', `/v1/jobs/${id}/verify`)).body as VerifyJson;
  }

  async cancel(id: string): Promise<void> {
    const answer = await this.#ask('POST', `/v1/jobs/${id}/cancel`);
    if (answer.status !== 200) throw new Error(`${answer.status}: ${JSON.stringify(answer.body)}`);
  }

  /** The job once it is done, failed or cancelled. */
  async finished(id: string): Promise<JobJson> {
    return this.cluster.until(`the end of job ${id}`, async () => {
      const job = await this.job(id);
      return ['done', 'failed', 'cancelled'].includes(job.state) ? job : null;
    });
  }

  /** The ranges of a job as soon as they please. */
  async untilRanges(id: string, what: string, wanted: (ranges: RangesJson) => boolean): Promise<RangesJson> {
    return this.cluster.until(what, async () => {
      const ranges = await this.ranges(id);
      return wanted(ranges) ? ranges : null;
    });
  }

  /** Asks running nodes in turn until one answers with something other than "try again". */
  async #ask(method: string, path: string, body?: unknown): Promise<Answer> {
    return this.cluster.until(`${method} ${path}`, async () => {
      for (const id of this.cluster.ids) {
        if (!this.cluster.running(id)) continue;
        const answer = await this.cluster.request(id, method, path, body).catch(() => null);
        if (answer !== null && answer.status !== 503) return answer;
      }
      return null;
    });
  }

  // ---- nodes ------------------------------------------------------------------------------------------------------

  /** Runs `polaris …` against the given nodes. */
  polaris(args: readonly string[], nodes: readonly string[] = this.cluster.ids): Promise<CommandResult> {
    const env = { ...process.env, POLARIS_URL: nodes.map((id) => this.cluster.url(id)).join(','), NO_COLOR: '1' };
    return new Promise((resolve) => {
      execFile(process.execPath, [PROGRAM, ...args], { env }, (error, stdout, stderr) => {
        resolve({ exit: error === null ? 0 : Number(error.code), stdout, stderr });
      });
    });
  }

  /** Everything that a node wrote to stderr, in all its lives; its file is made a moment after its first start. */
  logText(id: string): string {
    const path = this.cluster.logFile(id);
    return existsSync(path) ? readFileSync(path, 'utf8') : '';
  }

  /** The records of a node's log, in all its lives. */
  log(id: string): LogRecord[] {
    const whole = this.logText(id).split('\n').slice(0, -1);
    return whole.filter((line) => line.startsWith('{')).map((line) => JSON.parse(line) as LogRecord);
  }

  /** The first record that pleases, once it is written. */
  async logged(id: string, what: string, wanted: (record: LogRecord) => boolean): Promise<LogRecord> {
    return this.cluster.until(`${what} in the log of ${id}`, async () => this.log(id).find(wanted) ?? null);
  }
}

export function epochsOf(tasks: readonly Task[]): number[] {
  return tasks.map((task) => task.epoch);
}

/** Tasks on a node that have got somewhere and have a good way to go. */
export function underWay(ranges: RangesJson, node: string): Task[] {
  return ranges.tasks.filter(
    ({ worker: holder, start, cursor, end }) => holder === node && cursor > start && cursor < end,
  );
}
