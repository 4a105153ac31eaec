/**
 * Jobs with data, at length, on real processes.
 *
 *   tsx test/proof/data-jobs.ts [MB] [WORKERS,…]
 *
 * `wordcount` over at least 50 MB of real text on three voters and 1, 2, 3, 5 and 8 workers: meanwhile another worker joins,
 * one is killed with kill -9 and comes back, the leader is killed with kill -9 and comes back, and one is drained with
 * SIGTERM. The result must be that of a count in one process, word by word. Then `hash-files` over the files of all packages,
 * followed while it runs and while all of this happens: rows must come before the job is done, and all must be right.
 */
import { createHash } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { isDeepStrictEqual } from 'node:util';
import { RecordBatchReader, tableFromIPC } from 'apache-arrow';
import { LocalCluster, type NodeSpec } from '../../chaos/cluster.ts';
import { packageFiles } from '../../chaos/package-files.ts';
import { must } from '../../src/base/assert.ts';
import type { JobJson } from '../../src/http/job-json.ts';
import { countsOfText } from '../cluster/folding-words.ts';
import { realText } from './real-text.ts';

const MB = 1_000_000;
/** The job is held back to about so long, so that everything happens while it runs. */
const JOB_SECONDS = 20;
const FILES = 4_000;
const STREAM = 'application/vnd.apache.arrow.stream';

function say(text: string): void {
  process.stdout.write(`${text}\n`);
}

/** A cluster of three voters that do not work and so many that do, one of which is to join later; gone afterwards. */
async function inCluster(workers: number, run: (cluster: LocalCluster) => Promise<void>): Promise<void> {
  const dir = mkdtempSync(join(tmpdir(), 'polaris-data-jobs-'));
  const nodes: NodeSpec[] = [
    ...['n1', 'n2', 'n3'].map((id) => ({ id, role: 'voter' as const, slots: 0 })),
    ...Array.from({ length: workers + 1 }, (_, at) => ({ id: `w${at + 1}`, role: 'worker' as const, slots: 1 })),
  ];
  const cluster = await LocalCluster.create({ dir, nodes });
  try {
    for (const { id } of nodes.slice(0, -1)) cluster.start(id);
    await cluster.leader();
    await run(cluster);
  } finally {
    await cluster.stop();
    rmSync(dir, { recursive: true, force: true });
  }
}

/** Asks voters in turn until one answers with other than "try again". @throws Error for a refusal */
async function ask(cluster: LocalCluster, path: string, init: RequestInit = {}): Promise<Response> {
  return cluster.until(path, async () => {
    for (const id of ['n1', 'n2', 'n3'].filter((one) => cluster.running(one))) {
      const response = await fetch(`${cluster.url(id)}${path}`, init).catch(() => null);
      if (response === null || response.status === 503) continue;
      if (!response.ok) throw new Error(`${path} was answered ${response.status}: ${await response.text()}`);
      return response;
    }
    return null;
  });
}

async function put(cluster: LocalCluster, name: string, type: string, body: string): Promise<void> {
  const response = await ask(cluster, `/v1/datasets/${name}`, {
    method: 'PUT',
    headers: { 'content-type': type },
    body,
  });
  await response.body?.cancel();
}

async function submit(cluster: LocalCluster, job: object): Promise<JobJson> {
  const init = { method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify(job) };
  return (await (await ask(cluster, '/v1/jobs', init)).json()) as JobJson;
}

async function jobOf(cluster: LocalCluster, id: string): Promise<JobJson> {
  return (await (await ask(cluster, `/v1/jobs/${id}`)).json()) as JobJson;
}

/** Once so much of the job is done. */
async function reached(cluster: LocalCluster, id: string, share: number): Promise<JobJson> {
  return cluster.until(`${100 * share} % of job ${id}`, async () => {
    const job = await jobOf(cluster, id);
    if (['failed', 'cancelled', 'paused'].includes(job.state))
      throw new Error(`the job is ${job.state}: ${job.reason}`);
    const { done, total } = job.progress;
    return share < 1 ? (done >= share * total ? job : null) : job.state === 'done' ? job : null;
  });
}

async function restart(cluster: LocalCluster, id: string): Promise<void> {
  await cluster.signal(id, 'SIGKILL');
  cluster.start(id);
}

/**
 * A worker joins, one is killed and comes back, so is the leader, and one is drained, all while the job runs. Whether it still
 * ran at the last of it. `spared` is never killed: who reads through a node reads to its end.
 */
async function troubled(cluster: LocalCluster, id: string, workers: number, spared = ''): Promise<boolean> {
  await reached(cluster, id, 0.1);
  cluster.start(`w${workers + 1}`);
  await reached(cluster, id, 0.25);
  await restart(cluster, 'w1');
  await reached(cluster, id, 0.4);
  const leader = await cluster.until('a leader that may be killed', async () => {
    const named = await cluster.leader();
    return named === spared ? null : named;
  });
  await restart(cluster, leader);
  const { progress } = await reached(cluster, id, 0.6);
  await cluster.signal(`w${workers}`, 'SIGTERM');
  return progress.done < progress.total;
}

/** Whether the result was that of one process. */
async function wordcount(text: string, expected: readonly string[], workers: number): Promise<boolean> {
  let isRight = false;
  await inCluster(workers, async (cluster) => {
    await put(cluster, 'text', 'text/plain', text);
    const rows = text.split('\n').length;
    const startedAt = performance.now();
    const { id } = await submit(cluster, {
      name: 'wordcount',
      metadata: { dataset: 'text', column: 'line' },
      options: { commitEvery: 5_000, pointsPerSecond: Math.ceil(rows / JOB_SECONDS) },
    });
    const inTime = await troubled(cluster, id, workers);
    const job = await reached(cluster, id, 1);
    const seconds = Math.round((performance.now() - startedAt) / 1_000);
    const result = await ask(cluster, `/v1/jobs/${id}/result`, { headers: { accept: STREAM } });
    const table = tableFromIPC(new Uint8Array(await result.arrayBuffer()));
    const counted = table.toArray().map(({ word, count }) => `${word},${count}`);
    isRight = isDeepStrictEqual(counted.sort(), expected);
    say(
      `wordcount, ${workers} ${workers === 1 ? 'worker ' : 'workers'}: ${rows} rows, ${counted.length} words, ${job.progress.reexecuted} rows run again, drained ${inTime ? 'while it ran' : 'TOO LATE'}, ${seconds} s: ${isRight ? 'equal to one process' : 'WRONG'}`,
    );
    isRight &&= inTime;
  });
  return isRight;
}

async function hashFiles(workers: number): Promise<boolean> {
  const files = packageFiles().slice(0, FILES);
  const expected = files.map((path) => [path, createHash('sha256').update(readFileSync(path)).digest('hex')]);
  let isRight = false;
  await inCluster(workers, async (cluster) => {
    await put(cluster, 'manifest', 'application/x-ndjson', files.map((path) => JSON.stringify({ path })).join('\n'));
    const { id } = await submit(cluster, {
      name: 'hash-files',
      metadata: { dataset: 'manifest' },
      options: { commitEvery: 50, pointsPerSecond: Math.ceil(FILES / JOB_SECONDS) },
    });
    const leader = await cluster.leader();
    const through = must(
      ['n1', 'n2', 'n3'].find((one) => one !== leader),
      'one of three does not lead',
    );
    const [inTime, { found, early }] = await Promise.all([
      troubled(cluster, id, workers, through),
      followed(cluster, through, id),
    ]);
    const isWhole = isDeepStrictEqual(found, expected);
    isRight = isWhole && early > 0 && inTime;
    say(
      `hash-files, ${workers} ${workers === 1 ? 'worker ' : 'workers'}: ${found.length} files, ${early} of them came while the job ran, drained ${inTime ? 'while it ran' : 'TOO LATE'}: ${isWhole && early > 0 ? 'all as sha256 says, in order' : 'WRONG'}`,
    );
  });
  return isRight;
}

/** The rows of a result as they come, and how many of them had come when the job was last seen running. */
async function followed(
  cluster: LocalCluster,
  through: string,
  id: string,
): Promise<{ readonly found: readonly [string, string][]; readonly early: number }> {
  const url = `${cluster.url(through)}/v1/jobs/${id}/result?follow`;
  // Before its first row nobody knows its columns.
  await reached(cluster, id, 0.05);
  const response = await fetch(url, { headers: { accept: STREAM } });
  if (!response.ok) throw new Error(`${url} was answered ${response.status}: ${await response.text()}`);
  const found: [string, string][] = [];
  let early = 0;
  for await (const batch of await RecordBatchReader.from(must(response.body, 'a result has a body'))) {
    for (const { path, sha256 } of batch) found.push([path, sha256]);
    if ((await jobOf(cluster, id)).state === 'running') early = found.length;
  }
  return { found, early };
}

async function main(): Promise<number> {
  const [mb = '50', counts = '1,2,3,5,8'] = process.argv.slice(2);
  const text = realText(Number(mb) * MB);
  const expected = countsOfText(text);
  say(`${(Buffer.byteLength(text) / MB).toFixed(1)} MB of text from the packages of this project`);
  let isRight = true;
  const numbers = counts.split(',').map(Number);
  for (const workers of numbers) isRight = (await wordcount(text, expected, workers)) && isRight;
  for (const workers of numbers) isRight = (await hashFiles(workers)) && isRight;
  return isRight ? 0 : 1;
}

process.exitCode = await main();
