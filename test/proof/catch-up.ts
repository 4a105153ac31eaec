/**
 * A follower that was away for 100,000 entries comes back by snapshot: what does that cost the leader's commits?
 *
 *   tsx test/proof/catch-up.ts [RUNS]
 *
 * Each run starts three real nodes, fills the table with jobs so that the snapshot is large, measures commits one by one
 * while all is quiet, kills a follower, writes the entries, starts it again and measures until it has caught up. Printed
 * is the ratio of the two p99, and of RUNS runs the median.
 */
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { LocalCluster } from '../../chaos/cluster.ts';

const ENTRIES = 100_000;
const AT_ONCE = 64;
const QUIET_COMMITS = 2_000;
const JOBS = 900;
const METADATA_BYTES = 16_000;

interface Cluster {
  readonly cluster: LocalCluster;
  readonly leader: string;
  readonly follower: string;
  /** A job that is paused and resumed: each is one entry. */
  readonly job: string;
}

async function submit(cluster: LocalCluster, leader: string, filler: string): Promise<string> {
  // No program runs: the nodes have no slots.
  const body = { name: 'exec', start: 0, end: 1_000, metadata: { command: ['true'], env: { FILLER: filler } } };
  const answer = await cluster.request(leader, 'POST', '/v1/jobs', body);
  if (answer.status !== 201) throw new Error(`a submit was answered ${answer.status}: ${JSON.stringify(answer.body)}`);
  return (answer.body as { id: string }).id;
}

async function control({ cluster, leader, job }: Cluster, action: 'pause' | 'resume'): Promise<number> {
  const startedAt = performance.now();
  const answer = await cluster.request(leader, 'POST', `/v1/jobs/${job}/${action}`);
  if (answer.status !== 200) throw new Error(`${action} was answered ${answer.status}: ${JSON.stringify(answer.body)}`);
  return performance.now() - startedAt;
}

/** Commits one by one, until `isOver`. */
async function commits(scene: Cluster, isOver: (count: number) => Promise<boolean>): Promise<number[]> {
  const took: number[] = [];
  for (;;) {
    took.push(await control(scene, took.length % 2 === 0 ? 'pause' : 'resume'));
    if (took.length % 50 === 0 && (await isOver(took.length))) return took;
  }
}

function p99(took: readonly number[]): number {
  const sorted = [...took].sort((a, b) => a - b);
  return sorted[Math.floor(sorted.length * 0.99)] ?? 0;
}

async function writeMany(scene: Cluster, count: number): Promise<void> {
  let left = count;
  const write = async (): Promise<void> => {
    while (left-- > 0) await control(scene, left % 2 === 0 ? 'pause' : 'resume');
  };
  await Promise.all(Array.from({ length: AT_ONCE }, write));
}

async function once(dir: string): Promise<number> {
  const cluster = await LocalCluster.create({
    dir,
    nodes: ['n1', 'n2', 'n3'].map((id) => ({ id, role: 'voter', slots: 0 })),
    flags: ['--log-level', 'warn'],
  });
  try {
    cluster.start();
    const leader = await cluster.leader();
    const follower = cluster.ids.find((id) => id !== leader) ?? leader;
    const filler = 'x'.repeat(METADATA_BYTES);
    let job = '';
    for (let made = 0; made < JOBS; made++) job = await submit(cluster, leader, filler);
    const scene = { cluster, leader, follower, job };
    const quiet = await commits(scene, async (count) => count >= QUIET_COMMITS);
    await cluster.signal(follower, 'SIGKILL');
    const writingAt = performance.now();
    await writeMany(scene, ENTRIES);
    const written = Math.round(performance.now() - writingAt);
    const wanted = (await cluster.status(leader))?.commitIndex ?? 0;
    cluster.start(follower);
    const backAt = performance.now();
    const busy = await commits(scene, async () => ((await cluster.status(follower))?.appliedIndex ?? 0) >= wanted);
    const ratio = p99(busy) / p99(quiet);
    const bySnapshot = readFileSync(cluster.logFile(follower), 'utf8').length;
    process.stdout.write(
      `${ENTRIES} entries in ${written} ms; the follower was back ${Math.round(performance.now() - backAt)} ms after its start (${bySnapshot} bytes of log); ` +
        `p99 ${p99(quiet).toFixed(2)} ms quiet, ${p99(busy).toFixed(2)} ms meanwhile (${busy.length} commits): ratio ${ratio.toFixed(2)}\n`,
    );
    return ratio;
  } finally {
    await cluster.stop();
  }
}

const runs = Number(process.argv[2] ?? '1');
const ratios: number[] = [];
for (let run = 0; run < runs; run++) {
  const dir = mkdtempSync(join(tmpdir(), 'polaris-catch-up-'));
  ratios.push(await once(dir));
  rmSync(dir, { recursive: true, force: true });
}
ratios.sort((a, b) => a - b);
process.stdout.write(`median ratio of ${runs}: ${(ratios[Math.floor(runs / 2)] ?? 0).toFixed(2)}\n`);
