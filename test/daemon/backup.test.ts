/** Backups: the file, what is refused, and a cluster that comes back from one. */
import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { must } from '../../src/base/assert.ts';
import { PolarisError } from '../../src/base/errors.ts';
import { RESTORE_INDEX_GAP } from '../../src/base/limits.ts';
import { createPrng } from '../../src/base/prng.ts';
import { type Backup, decodeBackup, encodeBackup, restoreBatch, tableOf } from '../../src/daemon/backup.ts';
import { encodeImage, foundingRoster } from '../../src/daemon/roster.ts';
import { openMemoryStore } from '../../src/store/memory.ts';
import { jobId, Pen, specOf } from '../ranges/fixtures.ts';
import { NodeCluster } from './node-cluster.ts';

const TARGET = { clusterId: 'new', id: 'n1', instanceId: 'i', address: 'there:n1', above: 0 };

function backupOf(pen: Pen): Backup {
  const roster = foundingRoster([{ id: 'n7', instanceId: 'i-n7', address: 'there:n7' }]);
  const image = encodeImage(roster, pen.table.snapshot());
  return { clusterId: 'old', index: pen.table.appliedIndex, term: 4, at: 2_000, image };
}

function halfDone(): Pen {
  const pen = new Pen();
  pen.submit();
  pen.join();
  pen.progress(pen.grant(60), 30);
  return pen;
}

function refusalOf(bytes: Uint8Array): string {
  try {
    restoreBatch(decodeBackup(bytes), TARGET);
  } catch (thrown) {
    if (thrown instanceof PolarisError && thrown.code === 'BAD_BACKUP') return thrown.detail;
    throw thrown;
  }
  return 'none';
}

describe('the file', () => {
  test('comes out as it went in, and equal clusters give equal files', () => {
    const backup = backupOf(halfDone());
    const bytes = encodeBackup(backup);
    expect(decodeBackup(bytes)).toEqual(backup);
    expect(encodeBackup(backupOf(halfDone()))).toEqual(bytes);
    expect(tableOf(backup).job(jobId(1))?.coveredPoints).toBe(30);
  });

  test('is refused when any byte of it is another, and when any is missing', () => {
    const bytes = encodeBackup(backupOf(halfDone()));
    fc.assert(
      fc.property(fc.nat(bytes.length - 1), fc.integer({ min: 1, max: 255 }), (at, change) => {
        const broken = new Uint8Array(bytes);
        broken[at] = (broken[at] ?? 0) ^ change;
        expect(refusalOf(broken)).toMatch(/begin like one|has format|checksum/);
        expect(refusalOf(bytes.subarray(0, at))).toMatch(/begin like one|checksum/);
      }),
      { numRuns: 300 },
    );
    expect(refusalOf(Buffer.concat([bytes, Buffer.of(0)]))).toMatch('checksum');
  });

  test('of a later format is named as such, before its checksum is even looked for', () => {
    const bytes = new Uint8Array(encodeBackup(backupOf(halfDone())));
    bytes[11] = 2;
    expect(refusalOf(bytes)).toMatch('it has format 2, and this version reads 1');
  });

  test('that is whole and says what cannot be is refused, not believed', () => {
    const backup = backupOf(halfDone());
    expect(refusalOf(encodeBackup({ ...backup, index: 1 }))).toMatch('contradicts itself');
    expect(refusalOf(encodeBackup({ ...backup, index: 0 }))).toMatch('header');
    expect(refusalOf(encodeBackup({ ...backup, index: Number.MAX_SAFE_INTEGER }))).toMatch('no room');
    expect(refusalOf(encodeBackup({ ...backup, image: new Uint8Array(2) }))).toMatch('a snapshot has 2 bytes');
    expect(refusalOf(encodeBackup({ ...backup, image: new Uint8Array(9) }))).toMatch('not a backup');
  });
});

describe('a cluster and its backup', () => {
  function backUp(cluster: NodeCluster): Backup {
    const leader = cluster.awaitLeader();
    let backup: Backup | null = null;
    leader.node.backup((result) => {
      if (!result.ok) throw result.error;
      backup = decodeBackup(result.value);
    });
    cluster.until(() => backup !== null, 'a backup');
    return must<Backup>(backup, 'a backup');
  }

  /** A one-node cluster on a disk that was written from the backup. */
  function restored(backup: Backup): NodeCluster {
    const cluster = new NodeCluster('n1');
    const { store, contents } = openMemoryStore(cluster.disk('n1'), {
      prng: createPrng(99),
      schedule: (run) => cluster.time.soon(run),
    });
    let written = false;
    store.write(restoreBatch(backup, { ...TARGET, instanceId: contents.instanceId }), (error) => {
      expect(error).toBeNull();
      written = true;
    });
    cluster.until(() => written, 'the disk is written');
    cluster.disk('n1').crash();
    cluster.start('n1');
    return cluster;
  }

  test('holds everything that was acknowledged before it was asked for', () => {
    const cluster = new NodeCluster('n1', 'n2', 'n3');
    for (const id of ['n1', 'n2', 'n3']) cluster.start(id);
    const leader = cluster.awaitLeader();
    let acknowledged = false;
    leader.node.submit(specOf(), (result) => {
      acknowledged = result.ok;
    });
    cluster.until(() => acknowledged, 'the submit is acknowledged');
    const backup = backUp(cluster);
    expect([...tableOf(backup).jobs()].map((job) => job.spec.id)).toEqual([jobId(1)]);
    expect(backup).toMatchObject({
      clusterId: leader.node.formation?.clusterId,
      index: leader.node.replica?.table.appliedIndex,
    });
    expect(backup.term).toBe(leader.node.replica?.status().term);
  });

  test('is given by the leader alone', () => {
    const cluster = new NodeCluster('n1', 'n2', 'n3');
    for (const id of ['n1', 'n2', 'n3']) cluster.start(id);
    const follower = cluster.follower();
    let code = '';
    follower.node.backup((result) => {
      code = result.ok ? 'given' : result.error.code;
    });
    cluster.until(() => code !== '', 'an answer');
    expect(code).toBe('NO_LEADER');
  });

  test('comes back as another cluster, with a log above the old one, paused jobs and one voter', () => {
    const cluster = restored(backupOf(halfDone()));
    const { node } = cluster.awaitLeader();
    expect(node.status().id).toBe('new');
    expect(node.status().members).toMatchObject([{ id: 'n1', role: 'leader', address: 'there:n1' }]);
    const { table } = must(node.replica, 'it leads');
    expect(table.appliedIndex).toBeGreaterThan(RESTORE_INDEX_GAP);
    expect(table.job(jobId(1))).toMatchObject({ state: 'paused', reason: 'restored', coveredPoints: 30 });
  });

  test('restored, takes others in and goes on working with epochs of its own', () => {
    const cluster = restored(backupOf(halfDone()));
    const { node } = cluster.awaitLeader();
    const n2 = cluster.start('n2', { role: 'voter', join: ['there:n1'], slots: 0 });
    cluster.until(() => node.status().members.length === 2, 'n2 is a member');
    const worker = cluster.start('w1', { join: ['there:n1'] });
    node.control(jobId(1), 'resume', (result) => expect(result.ok).toBe(true));
    const running = () => worker.executor.calls.find((call) => call.startsWith('run'));
    cluster.until(() => running() !== undefined, 'the worker has a task');
    const [, epoch, cursor] = /^run (\d+) at (\d+)$/.exec(running() ?? '') ?? [];
    expect(Number(epoch)).toBeGreaterThan(RESTORE_INDEX_GAP);
    expect(Number(cursor)).toBe(30);
    cluster.until(() => n2.node.replica?.table.task(Number(epoch)) !== undefined, 'n2 has applied the grant');
  });

  test('survives a restart after its restore', () => {
    const cluster = restored(backupOf(halfDone()));
    cluster.awaitLeader();
    cluster.kill('n1');
    cluster.start('n1');
    expect(cluster.awaitLeader().node.replica?.table.job(jobId(1))?.coveredPoints).toBe(30);
  });
});

test('a restored cluster can never carry the id of the old one', () => {
  expect(() => restoreBatch(backupOf(halfDone()), { ...TARGET, clusterId: 'old' })).toThrow('an id of its own');
});

test('a second restore begins above the first one, when it is told where that one stood', () => {
  const backup = backupOf(halfDone());
  const first = restoreBatch(backup, TARGET).snapshot?.meta.index ?? 0;
  const second = restoreBatch(backup, { ...TARGET, above: first + 1_000 }).snapshot?.meta.index ?? 0;
  expect(first).toBe(backup.index + RESTORE_INDEX_GAP);
  expect(second).toBe(first + 1_000 + RESTORE_INDEX_GAP);
  // An older index says nothing new.
  expect(restoreBatch(backup, { ...TARGET, above: 1 }).snapshot?.meta.index).toBe(first);
});
