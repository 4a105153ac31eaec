/**
 * 1 GiB goes into a cluster and comes out again: what memory does that take, and what does it cost the commits meanwhile?
 *
 *   tsx test/proof/large-data.ts [RUNS] [MIB]
 *
 * Each run starts three real nodes, measures commits of small jobs one by one while all is quiet, and goes on measuring
 * while `polaris dataset put` sends the data through the leader, which commits, until every node has a copy, and
 * `polaris dataset get` fetches it through a follower. Printed are the peak of each node's resident memory, which must stay
 * under 512 MiB, and the ratio of the p99 of commits meanwhile to that of quiet ones; of RUNS runs the median. No heartbeat
 * may come so late that there is another leader. All of it
 * shares this machine: three nodes, the program that sends or fetches, and whoever measures.
 */
import { execFile } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout } from 'node:timers/promises';
import { promisify } from 'node:util';
import { LocalCluster, PROGRAM } from '../../chaos/cluster.ts';
import { must } from '../../src/base/assert.ts';
import { hashOfFile, peakMib, writeLarge } from '../cluster/large-content.ts';

const PEAK_MIB_MAX = 512;
const QUIET_COMMITS = 2_000;
/** Seldom enough to cost nothing. */
const LOOK_MS = 250;

const run = promisify(execFile);

interface Scene {
  readonly cluster: LocalCluster;
  /** Asked first; another one takes over where it lost its office meanwhile. */
  leader: string;
}

/** One change, asked for until it is answered: a leader that is lost costs as long as it takes to have another one. */
async function timed(scene: Scene, path: string, expected: readonly number[], body?: object): Promise<number> {
  const { cluster } = scene;
  const startedAt = performance.now();
  await cluster.until(path, async () => {
    const { status, body: said } = await cluster.request(scene.leader, 'POST', path, body);
    if (expected.includes(status)) return true;
    if (status !== 503) throw new Error(`${path} was answered ${status}: ${JSON.stringify(said)}`);
    scene.leader = await cluster.leader();
    return null;
  });
  return performance.now() - startedAt;
}

/** One small job comes and goes: two entries, each as long as it took, in ms. */
async function comeAndGo(scene: Scene): Promise<number[]> {
  const id = randomUUID();
  // No program runs: the nodes have no slots.
  const job = { id, name: 'exec', start: 0, end: 1_000, metadata: { command: ['true'] } };
  const submitMs = await timed(scene, '/v1/jobs', [201, 200], job);
  // 409: the first try was made after all.
  return [submitMs, await timed(scene, `/v1/jobs/${id}/cancel`, [200, 409])];
}

/** Commits one by one until `over` has settled. */
async function commitsUntil(scene: Scene, over: Promise<unknown>): Promise<number[]> {
  const took: number[] = [];
  let isOver = false;
  const end = () => {
    isOver = true;
  };
  over.then(end, end);
  while (!isOver) took.push(...(await comeAndGo(scene)));
  await over;
  return took;
}

function p99(took: readonly number[]): number {
  const sorted = [...took].sort((a, b) => a - b);
  return must(sorted[Math.floor(sorted.length * 0.99)], 'commits were measured');
}

function polaris(url: string, ...args: readonly string[]): Promise<unknown> {
  return run(process.execPath, [PROGRAM, 'dataset', ...args, '--url', url], { env: { ...process.env, NO_COLOR: '1' } });
}

/** Until no node lacks a blob that the log refers to, however long that takes on this machine. */
async function everywhere(cluster: LocalCluster): Promise<void> {
  const clusterId = (await cluster.status(must(cluster.ids[0], 'a node')))?.id ?? '';
  const lacking = async (id: string): Promise<number> => {
    const answer = await fetch(`${cluster.url(id)}/data/standing`, { headers: { 'polaris-cluster': clusterId } });
    return ((await answer.json()) as { lacking: number }).lacking;
  };
  for (const id of cluster.ids) while ((await lacking(id)) > 0) await setTimeout(LOOK_MS);
}

/** How long one step took, and the commits meanwhile. */
async function measured(scene: Scene, quiet: number, name: string, step: Promise<unknown>): Promise<number> {
  const startedAt = performance.now();
  const took = await commitsUntil(scene, step);
  const seconds = (performance.now() - startedAt) / 1_000;
  const ratio = p99(took) / quiet;
  process.stdout.write(
    `  ${name}: ${seconds.toFixed(1)} s, ${took.length} commits, p99 ${p99(took).toFixed(2)} ms, ratio ${ratio.toFixed(2)}\n`,
  );
  return ratio;
}

interface Measured {
  /** Of the slower of both ways. */
  readonly ratio: number;
  readonly peakMib: number;
  /** Heartbeats that came too late. */
  readonly elections: number;
}

async function termOf(cluster: LocalCluster): Promise<number> {
  const status = await cluster.status(await cluster.leader());
  return must(status, 'a leader that answers').term;
}

async function once(dir: string, file: string, hash: string): Promise<Measured> {
  const cluster = await LocalCluster.create({
    dir,
    nodes: ['n1', 'n2', 'n3'].map((id) => ({ id, role: 'voter', slots: 0 })),
    flags: ['--log-level', 'warn'],
  });
  try {
    cluster.start();
    const scene = { cluster, leader: await cluster.leader() };
    const follower = must(
      cluster.ids.find((id) => id !== scene.leader),
      'a follower',
    );
    const term = await termOf(cluster);
    const quietCommits: number[] = [];
    while (quietCommits.length < QUIET_COMMITS) quietCommits.push(...(await comeAndGo(scene)));
    const quiet = p99(quietCommits);
    process.stdout.write(`  quiet: ${quietCommits.length} commits, p99 ${quiet.toFixed(2)} ms\n`);
    const put = polaris(cluster.url(scene.leader), 'put', 'large', file).then(() => everywhere(cluster));
    const into = await measured(scene, quiet, 'put through the leader, until all have it', put);
    const back = join(dir, 'back.arrows');
    const out = await measured(
      scene,
      quiet,
      'get through a follower',
      polaris(cluster.url(follower), 'get', 'large', back),
    );
    if ((await hashOfFile(back)) !== hash) throw new Error('what came out is not what went in');
    const peaks = cluster.ids.map((id) => peakMib(cluster.pid(id)));
    process.stdout.write(`  peaks: ${peaks.map((peak) => `${peak.toFixed(0)} MiB`).join(', ')}\n`);
    return { ratio: Math.max(into, out), peakMib: Math.max(...peaks), elections: (await termOf(cluster)) - term };
  } finally {
    await cluster.stop();
  }
}

const runs = Number(process.argv[2] ?? '1');
const mib = Number(process.argv[3] ?? '1024');
const all: Measured[] = [];
const root = mkdtempSync(join(tmpdir(), 'polaris-large-data-'));
try {
  const file = join(root, 'large.arrows');
  await writeLarge(file, mib);
  const hash = await hashOfFile(file);
  for (let number = 1; number <= runs; number++) {
    process.stdout.write(`run ${number}:\n`);
    const dir = join(root, `${number}`);
    all.push(await once(dir, file, hash));
    rmSync(dir, { recursive: true, force: true });
  }
} finally {
  rmSync(root, { recursive: true, force: true });
}
const ratios = all.map(({ ratio }) => ratio).sort((a, b) => a - b);
const peak = Math.max(...all.map((one) => one.peakMib));
process.stdout.write(`${mib} MiB: highest peak of any node ${peak.toFixed(0)} MiB, at most ${PEAK_MIB_MAX} allowed\n`);
const elections = all.reduce((sum, one) => sum + one.elections, 0);
process.stdout.write(`elections meanwhile: ${elections}\n`);
process.stdout.write(`median ratio of ${runs}: ${must(ratios[Math.floor(runs / 2)], 'runs').toFixed(2)}\n`);
process.exitCode = peak < PEAK_MIB_MAX && elections === 0 ? 0 : 1;
