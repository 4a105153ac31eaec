/**
 * The main job, on real input: every file under node_modules is hashed by a three-node cluster while one worker and then
 * the leader are killed, and the result is compared with that of a plain single process. Works offline, cleans up.
 */
import { createHash } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { builtPath } from '../src/base/package.ts';
import { LocalCluster } from './cluster.ts';
import { packageFiles } from './package-files.ts';

const HASH_PROGRAM = builtPath('chaos/hash-range.js');
/** Each file waits this long, so that there is time to kill something. */
const PAUSE_MS = 8;
const WORKER_DIES_AT = 0.2;
const LEADER_DIES_AT = 0.5;

interface Job {
  readonly id: string;
  readonly state: string;
  readonly progress: {
    readonly total: number;
    readonly done: number;
    readonly failed: number;
    readonly reexecuted: number;
    readonly ratePerSecond: number | null;
  };
}

interface Verify {
  readonly covered: boolean;
  readonly missing: readonly unknown[];
  readonly failed: readonly unknown[];
  readonly reexecuted: readonly { readonly start: number; readonly end: number; readonly times: number }[];
}

function say(text: string): void {
  process.stdout.write(`${text}\n`);
}

/** The job as any running node tells it; null while nobody can. */
async function ask<T>(cluster: LocalCluster, path: string): Promise<T | null> {
  for (const id of cluster.ids) {
    if (!cluster.running(id)) continue;
    try {
      const answer = await cluster.request(id, 'GET', path);
      if (answer.status === 200) return answer.body as T;
    } catch {
      // It was just killed, or is starting: ask the next.
    }
  }
  return null;
}

/** Watches until the share of the work is done; says so once a second. */
async function watch(cluster: LocalCluster, id: string, share: number): Promise<Job> {
  let saidAt = 0;
  return cluster.until(`${share * 100} % of the job`, async () => {
    const job = await ask<Job>(cluster, `/v1/jobs/${id}`);
    if (job === null) return null;
    const { done, total, ratePerSecond } = job.progress;
    if (Date.now() - saidAt >= 1_000) {
      saidAt = Date.now();
      const rate = ratePerSecond === null ? '' : `, ${Math.round(ratePerSecond)} a second`;
      say(`  ${job.state}: ${done} of ${total} files (${Math.floor((100 * done) / total)} %)${rate}`);
    }
    return done >= share * total && (share < 1 || job.state === 'done' || job.state === 'failed') ? job : null;
  });
}

async function submit(cluster: LocalCluster, files: number, dir: string): Promise<string> {
  const command = [
    process.execPath,
    HASH_PROGRAM,
    join(dir, 'manifest'),
    join(dir, 'digests'),
    '{start}',
    '{end}',
    '{epoch}',
    String(PAUSE_MS),
  ];
  const body = { name: 'exec', start: 0, end: files, metadata: { command } };
  const leader = await cluster.leader();
  const answer = await cluster.request(leader, 'POST', '/v1/jobs', body);
  if (answer.status !== 201)
    throw new Error(`the submit was answered ${answer.status}: ${JSON.stringify(answer.body)}`);
  return (answer.body as Job).id;
}

/** Compares every line that the job wrote with what one plain process says, and counts honestly. */
function compare(dir: string, files: readonly string[], verify: Verify): boolean {
  const expected = files.map((path) => createHash('sha256').update(readFileSync(path)).digest('hex'));
  const lines = readFileSync(join(dir, 'digests'), 'utf8')
    .split('\n')
    .filter((line) => line !== '');
  const seen = new Map<number, number>();
  let wrong = 0;
  for (const line of lines) {
    const [point, , digest, path] = line.split('\t');
    const at = Number(point);
    seen.set(at, (seen.get(at) ?? 0) + 1);
    if (digest !== expected[at] || path !== files[at]) wrong++;
  }
  const missing = files.filter((_path, at) => !seen.has(at)).length;
  const repeated = lines.length - seen.size;
  const bound = verify.reexecuted.reduce((sum, range) => sum + (range.end - range.start) * range.times, 0);
  say(`  ${files.length} files; ${lines.length} lines; ${missing} missing; ${wrong} wrong digests`);
  say(`  ${repeated} lines were written again after a crash; verify says at most ${bound}`);
  return missing === 0 && wrong === 0 && repeated <= bound;
}

async function run(cluster: LocalCluster, dir: string): Promise<boolean> {
  const files = packageFiles();
  writeFileSync(join(dir, 'manifest'), `${files.join('\n')}\n`);
  say(`1. A manifest of ${files.length} real files: every file of every package under node_modules.`);
  cluster.start();
  const first = await cluster.leader();
  say(`2. Three nodes run: ${cluster.ids.map((id) => `${id} at ${cluster.url(id)}`).join(', ')}. ${first} leads.`);
  const id = await submit(cluster, files.length, dir);
  say(`3. Job ${id} is submitted: the sha256 of every file, as a range of ${files.length} integers.`);
  say(`   Each file takes ${PAUSE_MS} ms longer than it must, so that there is time to kill something.`);

  await watch(cluster, id, WORKER_DIES_AT);
  const leader = await cluster.leader();
  const worker = cluster.ids.find((one) => one !== leader) ?? leader;
  say(`4. kill -9 of ${worker}, a worker with tasks under way. It is started again at once.`);
  await cluster.signal(worker, 'SIGKILL');
  cluster.start(worker);

  await watch(cluster, id, LEADER_DIES_AT);
  const deposed = await cluster.leader();
  say(`5. kill -9 of ${deposed}, the leader.`);
  const killedAt = Date.now();
  await cluster.signal(deposed, 'SIGKILL');
  const next = await cluster.leader();
  say(`   ${next} leads ${Date.now() - killedAt} ms later. ${deposed} is started again.`);
  cluster.start(deposed);

  const job = await watch(cluster, id, 1);
  say(`6. The job is ${job.state}. polaris job verify:`);
  const verify = await cluster.until('verify', () => ask<Verify>(cluster, `/v1/jobs/${id}/verify`));
  say(`   ${JSON.stringify({ covered: verify.covered, missing: verify.missing, failed: verify.failed })}`);
  say('7. Compared with a plain single-process run:');
  return compare(dir, files, verify) && verify.covered && job.state === 'done';
}

const dir = mkdtempSync(join(tmpdir(), 'polaris-demo-'));
const cluster = await LocalCluster.create({
  dir,
  nodes: ['n1', 'n2', 'n3'].map((id) => ({ id, role: 'voter', slots: 2 })),
});
let good = false;
const startedAt = Date.now();
try {
  good = await run(cluster, dir);
} finally {
  await cluster.stop('SIGTERM');
  if (good) rmSync(dir, { recursive: true, force: true });
  else say(`Logs and data are left in ${dir}.`);
}
say(good ? `Every file was hashed. ${Math.round((Date.now() - startedAt) / 1000)} s.` : 'The demo FAILED.');
process.exitCode = good ? 0 : 1;
