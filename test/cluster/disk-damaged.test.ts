/**
 * A disk that lost or changed what it had acknowledged: the node refuses to start, says what to do, and does not change
 * its mind. LevelDB itself opens most of these directories without an error, and repairs the damage away by dropping it.
 *
 * Each damage is done to a copy of the same killed node, so that the untouched copy can show at the end that nothing but
 * the damage was refused.
 */
import { cpSync, readdirSync, readFileSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { logFileOf, logFileRecords } from '../../chaos/disk-faults.ts';
import { acknowledge, expectCaughtUp, expectGoesOn, expectKept, startInVain } from './disk-scene.ts';
import { prepareScene, report, type Scene, voters, worker } from './harness.ts';

/** In the key of every cell that holds an entry. */
const ENTRY_KEY = 'log/';

interface Damage {
  readonly what: string;
  readonly damage: (dataDir: string) => void;
  readonly says: RegExp;
}

function flip(path: string, pick: (length: number) => number): void {
  const bytes = readFileSync(path);
  const at = pick(bytes.length);
  bytes[at] = (bytes[at] ?? 0) ^ 0xff;
  writeFileSync(path, bytes);
}

/** Cuts the last record that holds an entry, and what stands behind it, at its first byte. */
function cutTail(dataDir: string): void {
  const path = logFileOf(dataDir);
  const bytes = readFileSync(path);
  const records = logFileRecords(bytes);
  const cut = records.findLastIndex(({ begin, end }) => bytes.subarray(begin, end).includes(ENTRY_KEY));
  expect(cut).toBeGreaterThan(0);
  truncateSync(path, records[cut]?.begin);
}

/** The file into which LevelDB moved its log when it was opened last. */
function tableOf(dataDir: string): string {
  const [name] = readdirSync(join(dataDir, 'log')).filter((each) => each.endsWith('.ldb'));
  if (name === undefined) throw new Error('LevelDB has no table file');
  return join(dataDir, 'log', name);
}

const DAMAGES: readonly Damage[] = [
  {
    what: 'a flipped byte in the middle of the log',
    damage: (dataDir) => flip(logFileOf(dataDir), (length) => length >> 1),
    says: /LevelDB says: .*dropping \d+ bytes/,
  },
  { what: 'a cleanly cut tail of the log', damage: cutTail, says: /last entry is \d+, but entry \d+ was once synced/ },
  {
    what: 'a deleted log',
    damage: (dataDir) => rmSync(logFileOf(dataDir)),
    says: /last entry is \d+, but entry \d+ was once synced/,
  },
  {
    what: 'a flipped byte at the end of a table file',
    damage: (dataDir) => flip(tableOf(dataDir), (length) => length - 1),
    says: /Corruption/,
  },
  { what: 'a deleted table file', damage: (dataDir) => rmSync(tableOf(dataDir)), says: /missing files/ },
  {
    what: 'a note of damage without words, as a full disk keeps it',
    damage: (dataDir) => writeFileSync(join(dataDir, 'damaged'), ''),
    says: /found at an earlier start/,
  },
];

test('a flipped byte, a cut tail, a deleted file: the node refuses with LOG_DAMAGED at every start, and the others go on', async () => {
  const scene = await prepareScene([...voters(1), worker('n4', 1)]);
  const { cluster } = scene;
  for (const id of ['n1', 'n2', 'n3']) cluster.start(id);
  await cluster.leader();
  const jobs = await acknowledge(scene, 3);
  await expectCaughtUp(scene, 'n3', jobs);
  // At the second open LevelDB moves what its log held to a table file; then there are both.
  await cluster.signal('n3', 'SIGKILL');
  cluster.start('n3');
  await expectCaughtUp(scene, 'n3', jobs);
  jobs.push(...(await acknowledge(scene, 5)));
  // With jobs at work the kill might fall between the sync of an entry and the mark that says so: nobody was told of that one.
  for (const { id } of jobs) await scene.finished(id);
  await expectCaughtUp(scene, 'n3', jobs);
  await cluster.signal('n3', 'SIGKILL');

  const whole = join(scene.dir, 'n3-whole');
  cpSync(cluster.dataDir('n3'), whole, { recursive: true });
  for (const damage of DAMAGES) {
    restore(scene, whole);
    damage.damage(cluster.dataDir('n3'));
    await expectRefused(scene, damage);
  }

  await cluster.leader();
  await expectKept(scene, jobs);
  await expectGoesOn(scene, 'without');
  cluster.start('n4');
  await scene.logged('n4', 'that it joined', (record) => record.msg === 'joined');
  await expectGoesOn(scene, 'with-n4');

  restore(scene, whole);
  cluster.start('n3');
  await expectCaughtUp(scene, 'n3', jobs);
});

function restore(scene: Scene, whole: string): void {
  const dataDir = scene.cluster.dataDir('n3');
  rmSync(dataDir, { recursive: true });
  cpSync(whole, dataDir, { recursive: true });
}

async function expectRefused(scene: Scene, { what, says }: Damage): Promise<void> {
  for (const time of ['first', 'second']) {
    const end = await startInVain(scene, 'n3');
    expect(end, `${what}, the ${time} start`).toMatchObject({ code: 1, signal: null });
    expect(end.sentence).toMatch(/^polaris: LOG_DAMAGED: .*: move the data directory away and join under a new id$/);
    expect(end.sentence, what).toMatch(says);
    // It was refused before it spoke to anybody.
    expect(end.lines.filter((line) => line.includes('"listening"'))).toEqual([]);
    if (time === 'first') report(`${what}: ${end.sentence}`);
  }
}
