/**
 * What the tests with broken disks ask of a cluster: a node ended by itself and said why; acknowledged jobs are there in
 * every detail; the others go on; a node that came back holds what they hold, and they can lean on it.
 */
import { randomUUID } from 'node:crypto';
import { expect } from 'vitest';
import type { JobJson } from '../../src/http/job-json.ts';
import type { Scene, Submission } from './harness.ts';
import { expectExactlyOnce } from './lines.ts';

const POINTS = 100;

/** How one life of a node ended. */
export interface End {
  readonly code: number | null;
  readonly signal: string | null;
  /** All that it wrote to stderr in this life, from the call on, up to the sentence for a person. */
  readonly lines: readonly string[];
  /** That sentence: `polaris: CODE: detail`. */
  readonly sentence: string;
}

/** To be called while the node runs (or right after its start); resolves once it has ended and its words are read. */
export async function endOf(scene: Scene, id: string): Promise<End> {
  const before = scene.logText(id).length;
  const end = await scene.cluster.ended(id);
  const lines = await scene.cluster.until(`the last words of ${id}`, async () => {
    const said = scene.logText(id).slice(before).trimEnd().split('\n');
    return said.some((line) => line.startsWith('polaris: ')) ? said : null;
  });
  return { ...end, lines, sentence: lines.find((line) => line.startsWith('polaris: ')) ?? '' };
}

/** Starts a node that cannot go on, and gives its end. */
export function startInVain(scene: Scene, id: string): Promise<End> {
  scene.cluster.start(id);
  return endOf(scene, id);
}

/** A job of one point whose record is `paddingBytes` long at least. */
export function smallJob(paddingBytes = 0): Submission {
  const metadata = { command: ['true', 'x'.repeat(paddingBytes)] };
  return { id: randomUUID(), name: 'exec', start: 0, end: 1, metadata };
}

/** Submits small jobs one after the other and gives them as they were acknowledged. */
export async function acknowledge(scene: Scene, count: number): Promise<JobJson[]> {
  const jobs: JobJson[] = [];
  while (jobs.length < count) jobs.push(await scene.submit(smallJob()));
  return jobs;
}

/** Every acknowledged job is there for whoever reads it from the cluster. */
export async function expectKept(scene: Scene, jobs: readonly JobJson[]): Promise<void> {
  expect(jobs.length).toBeGreaterThan(0);
  for (const job of jobs) expect(await scene.job(job.id)).toMatchObject(specOf(job));
}

/** The node has come as far as the leader was at the call, and every acknowledged job is in its own state. */
export async function expectCaughtUp(scene: Scene, id: string, jobs: readonly JobJson[]): Promise<void> {
  const { cluster } = scene;
  const commitIndex = (await cluster.status(await cluster.leader()))?.commitIndex ?? Number.POSITIVE_INFINITY;
  await cluster.until(`${id} at index ${commitIndex}`, async () => {
    const status = await cluster.status(id);
    return status !== null && status.appliedIndex >= commitIndex ? status : null;
  });
  for (const job of jobs) {
    const answer = await cluster.request(id, 'GET', `/v1/jobs/${job.id}?consistency=local`);
    expect(answer.body).toMatchObject(specOf(job));
  }
}

/** A job is worked from its first to its last point by whoever runs. */
export async function expectGoesOn(scene: Scene, name: string): Promise<void> {
  const { id } = await scene.submit({ name: 'append', start: 0, end: POINTS, metadata: scene.sink(name) });
  expect((await scene.finished(id)).state).toBe('done');
  expectExactlyOnce(scene.lines(name), POINTS);
}

/** Takes another of three voters away: from now on nothing is committed without the disk of `id`. */
export async function expectLeanedOn(scene: Scene, id: string, jobs: readonly JobJson[]): Promise<void> {
  const { cluster } = scene;
  const leader = await cluster.leader();
  const victim = leader === id ? cluster.ids.find((other) => other !== id && cluster.running(other)) : leader;
  await cluster.signal(victim ?? leader, 'SIGKILL');
  await cluster.leader();
  await expectGoesOn(scene, `leaned-on-${id}`);
  await expectKept(scene, jobs);
}

function specOf({ id, name, start, end, metadata, options }: JobJson): object {
  return { id, name, start, end, metadata, options };
}
