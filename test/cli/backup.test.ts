/** polaris cluster backup and restore: the file, the directory, and what is left when something goes wrong. */
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeEach, describe, expect, test } from 'vitest';
import { PolarisError } from '../../src/base/errors.ts';
import { BACKUP_BYTES_MAX, RESTORE_INDEX_GAP } from '../../src/base/limits.ts';
import { createPrng } from '../../src/base/prng.ts';
import { encodeBackup } from '../../src/daemon/backup.ts';
import { decodeImage, encodeImage, foundingRoster } from '../../src/daemon/roster.ts';
import { JobTable } from '../../src/ranges/table.ts';
import { openLevelStore } from '../../src/store/level.ts';
import { jobId, Pen } from '../ranges/fixtures.ts';
import { FakeClient, run } from './fake-io.ts';

const ROOT = mkdtempSync(join(tmpdir(), 'polaris-backup-'));
afterAll(() => rmSync(ROOT, { recursive: true, force: true }));

let dir: string;
let file: string;
let count = 0;
beforeEach(() => {
  dir = join(ROOT, String(++count));
  mkdirSync(dir);
  file = join(dir, 'file');
});

function someBackup(): { readonly bytes: Uint8Array; readonly index: number } {
  const pen = new Pen();
  pen.submit();
  pen.submit({ id: jobId(2), end: 5 });
  pen.join();
  pen.complete(pen.grant(5, { job: jobId(2) }));
  pen.progress(pen.grant(60), 30);
  const image = encodeImage(foundingRoster([]), pen.table.snapshot());
  const index = pen.table.appliedIndex;
  return { bytes: encodeBackup({ clusterId: 'old', index, term: 4, at: 2_000, image }), index };
}

function clientWith(bytes: Uint8Array): FakeClient {
  const client = new FakeClient();
  client.file = bytes;
  return client;
}

describe('cluster backup', () => {
  test('writes the file as it came, readable by its owner alone, and says what is in it', async () => {
    const { bytes, index } = someBackup();
    const ran = await run(['cluster', 'backup', file, '-o', 'json'], { client: clientWith(bytes) });
    expect([ran.exit, ran.stderr]).toEqual([0, '']);
    expect(JSON.parse(ran.stdout)).toEqual({
      ...{ file, bytes: bytes.length, clusterId: 'old', index, term: 4, jobs: 2 },
      takenAt: '1970-01-01T00:00:02.000Z',
    });
    expect(readFileSync(file).equals(Buffer.from(bytes))).toBe(true);
    expect(statSync(file).mode & 0o777).toBe(0o600);
    expect(readdirSync(dir)).toEqual(['file']);
  });

  test('with - writes the bytes to stdout and nothing else, but not to a terminal', async () => {
    const { bytes } = someBackup();
    const ran = await run(['cluster', 'backup', '-'], { client: clientWith(bytes) });
    expect([ran.exit, ran.stderr]).toEqual([0, '']);
    expect(Buffer.from(ran.stdout, 'latin1').equals(Buffer.from(bytes))).toBe(true);
    expect(await run(['cluster', 'backup', '-'], { tty: true })).toMatchObject({ exit: 2, stdout: '' });
  });

  test('leaves the former file where it was when what came is not whole', async () => {
    writeFileSync(file, 'the former one');
    const broken = someBackup().bytes.slice(0, -1);
    const ran = await run(['cluster', 'backup', file], { client: clientWith(broken) });
    expect(ran).toMatchObject({ exit: 1, stdout: '' });
    expect(ran.stderr).toMatch(/^polaris: BAD_BACKUP: .*cut off or changed/);
    expect(readFileSync(file, 'utf8')).toBe('the former one');
    expect(readdirSync(dir)).toEqual(['file']);
  });

  test('says why when there is no leader or the file cannot be written, and leaves no part behind', async () => {
    const client = clientWith(someBackup().bytes);
    const nowhere = join(dir, 'no', 'such', 'place');
    expect((await run(['cluster', 'backup', nowhere], { client })).stderr).toMatch(/^polaris: FILE_FAILED: .*ENOENT/);
    // A directory stands in the place: the rename itself fails.
    mkdirSync(join(file, 'inside'), { recursive: true });
    expect(await run(['cluster', 'backup', file], { client })).toMatchObject({ exit: 1 });
    expect(readdirSync(dir)).toEqual(['file']);
    client.failure = new PolarisError('NO_LEADER');
    expect(await run(['cluster', 'backup', join(dir, 'other')], { client })).toMatchObject({ exit: 5 });
    expect(existsSync(join(dir, 'other'))).toBe(false);
  });
});

describe('cluster restore', () => {
  const restore = (...args: readonly string[]) => run(['cluster', 'restore', file, ...args]);

  test('makes the disk of a new cluster, with this node as its only voter', async () => {
    const { bytes, index } = someBackup();
    writeFileSync(file, bytes);
    const dataDir = join(dir, 'data');
    const ran = await restore('--data-dir', dataDir, '--id', 'n9', '--listen', '127.0.0.1:7999', '-o', 'json');
    expect(ran.exit).toBe(0);
    expect(ran.stderr).toMatch(`polaris node --id n9 --listen 127.0.0.1:7999 --data-dir ${dataDir}`);
    const made = JSON.parse(ran.stdout);
    expect(made).toMatchObject({ from: 'old', id: 'n9', index: index + RESTORE_INDEX_GAP, jobs: 2, paused: 1 });
    expect(made.clusterId).toMatch(/^[0-9a-f-]{36}$/);
    expect(readdirSync(dataDir).sort()).toEqual(['log', 'mark']);

    const { store, contents } = await openLevelStore(dataDir, { prng: createPrng(1) });
    await store.close();
    const member = { id: 'n9', instanceId: contents.instanceId, address: '127.0.0.1:7999' };
    expect(contents.formation).toEqual({ clusterId: made.clusterId, members: [member] });
    expect(contents.hardState).toEqual({ term: 4, vote: null, commit: made.index });
    const table = new JobTable();
    table.restore(made.index, decodeImage(contents.snapshot?.data ?? new Uint8Array(0)).table);
    expect(table.job(jobId(1))).toMatchObject({ state: 'paused', reason: 'restored', coveredPoints: 30 });
    expect(table.job(jobId(2))).toMatchObject({ state: 'done' });
  });

  test('twice from one file makes two clusters that are strangers to each other', async () => {
    writeFileSync(file, someBackup().bytes);
    const ids = new Set<string>();
    const indexes = new Set<number>();
    for (const name of ['a', 'b']) {
      const ran = await restore('--data-dir', join(dir, name), '-o', 'json');
      ids.add(JSON.parse(ran.stdout).clusterId);
      indexes.add(JSON.parse(ran.stdout).index);
      expect(ran.stderr).toMatch(/^Another restore of this backup gives the same epochs again, .* --above INDEX, .*$/m);
    }
    expect([ids.size, indexes.size]).toEqual([2, 1]);
  });

  test('begins above where another cluster from the same file stood last', async () => {
    const { bytes } = someBackup();
    writeFileSync(file, bytes);
    const ran = await restore('--data-dir', join(dir, 'data'), '--above', '5_000_000_000', '-o', 'json');
    expect(JSON.parse(ran.stdout).index).toBe(5_000_000_000 + RESTORE_INDEX_GAP);
    expect(ran.stderr).not.toContain('epochs');
    for (const wrong of ['--above=-1', '--above=x']) {
      expect((await restore('--data-dir', join(dir, 'other'), wrong)).exit).toBe(2);
    }
    expect(existsSync(join(dir, 'other'))).toBe(false);
  });

  test('touches no directory that holds anything', async () => {
    writeFileSync(file, someBackup().bytes);
    const dataDir = join(dir, 'data');
    mkdirSync(dataDir);
    writeFileSync(join(dataDir, 'mine'), 'kept');
    const ran = await restore('--data-dir', dataDir);
    expect(ran).toMatchObject({ exit: 1, stdout: '' });
    expect(ran.stderr).toMatch(/^polaris: DATA_DIR_NOT_EMPTY: .* it holds mine\n/);
    expect(readdirSync(dataDir)).toEqual(['mine']);
  });

  test('takes an empty directory, and one that an interrupted restore left behind', async () => {
    writeFileSync(file, someBackup().bytes);
    const dataDir = join(dir, 'data');
    mkdirSync(join(dataDir, '.restoring', 'log'), { recursive: true });
    writeFileSync(join(dataDir, '.restoring', 'log', 'CURRENT'), 'half');
    expect((await restore('--data-dir', dataDir)).exit).toBe(0);
    expect(readdirSync(dataDir).sort()).toEqual(['log', 'mark']);
  });

  test('leaves an empty directory behind when the file is none', async () => {
    const dataDir = join(dir, 'data');
    expect((await restore('--data-dir', dataDir)).stderr).toMatch(/^polaris: FILE_FAILED: .*ENOENT/);
    for (const bytes of [Buffer.from('hello'), someBackup().bytes.slice(0, -1)]) {
      writeFileSync(file, bytes);
      const ran = await restore('--data-dir', dataDir);
      expect(ran).toMatchObject({ exit: 1, stdout: '' });
      expect(ran.stderr).toMatch(/^polaris: BAD_BACKUP/);
    }
    expect(existsSync(dataDir)).toBe(false);
    // Whole, and yet it contradicts itself: found only once the directory is there.
    const pen = new Pen();
    pen.join();
    const image = encodeImage(foundingRoster([]), pen.table.snapshot());
    writeFileSync(file, encodeBackup({ clusterId: 'old', index: 1, term: 1, at: 0, image: image.slice(0, -1) }));
    expect((await restore('--data-dir', dataDir)).stderr).toMatch(/^polaris: BAD_BACKUP/);
    expect(readdirSync(dataDir)).toEqual([]);
  });

  test('reads no file that is far too large for a backup', async () => {
    writeFileSync(file, '');
    truncateSync(file, BACKUP_BYTES_MAX + 1);
    expect((await restore('--data-dir', join(dir, 'data'))).stderr).toMatch(/^polaris: BAD_BACKUP: .* too large/);
  });

  test('cut off by a power cut between its two last steps, leaves a directory that no node starts on', async () => {
    writeFileSync(file, someBackup().bytes);
    const dataDir = join(dir, 'data');
    await restore('--data-dir', dataDir);
    rmSync(join(dataDir, 'log'), { recursive: true });
    await expect(openLevelStore(dataDir, { prng: createPrng(1) })).rejects.toMatchObject({ code: 'LOG_DAMAGED' });
  });

  test('needs an address that others can dial, and keeps to loopback like a node', async () => {
    writeFileSync(file, someBackup().bytes);
    const dataDir = join(dir, 'data');
    expect(await restore('--data-dir', dataDir, '--listen', '127.0.0.1:0')).toMatchObject({ exit: 2 });
    expect(await restore('--data-dir', dataDir, '--listen', '0.0.0.0:7070')).toMatchObject({ exit: 4 });
    expect(existsSync(dataDir)).toBe(false);
  });

  test('says so when the directory cannot be made', async () => {
    writeFileSync(file, someBackup().bytes);
    const ran = await restore('--data-dir', join(file, 'data'));
    expect(ran).toMatchObject({ exit: 1, stdout: '' });
    expect(ran.stderr).toMatch(/^polaris: FILE_FAILED: .*(ENOTDIR|EEXIST)/);
  });
});
