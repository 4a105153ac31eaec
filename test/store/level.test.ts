/** The store on LevelDB: the shared suite, and what a real disk and a real process can do to it. */
import { type ChildProcess, spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { mkdtemp, readdir, readFile, rm, truncate, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Level } from 'level';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { logFileRecords } from '../../chaos/disk-faults.ts';
import { createPrng } from '../../src/base/prng.ts';
import { encodeHardState, HARD_STATE_KEY, IDENTITY_KEY } from '../../src/store/cells.ts';
import { openLevelStore } from '../../src/store/level.ts';
import { entries, hardState, identityOfFormat, snapshot, storeSuite, write } from './conformance.ts';

const prng = createPrng(1);

storeSuite({
  name: 'level store',
  create: async () => {
    const dir = await mkdtemp(join(tmpdir(), 'polaris-store-'));
    return {
      open: () => openLevelStore(dir, { prng }),
      edit: async (change) => {
        await rm(join(dir, 'damaged'), { force: true });
        await editCells(join(dir, 'log'), change);
      },
      dispose: () => rm(dir, { recursive: true, force: true }),
    };
  },
});

async function editCells(path: string, change: (cells: Map<string, Uint8Array>) => void): Promise<void> {
  const database = new Level<string, Uint8Array>(path, { keyEncoding: 'utf8', valueEncoding: 'view' });
  await database.open();
  const before = new Map(await database.iterator().all());
  const after = new Map(before);
  change(after);
  for (const key of before.keys()) if (!after.has(key)) await database.del(key);
  for (const [key, value] of after) await database.put(key, value);
  await database.close();
}

describe('level store on a real disk', () => {
  let dir: string;
  let children: ChildProcess[];
  beforeEach(async () => {
    dir = join(await mkdtemp(join(tmpdir(), 'polaris-store-')), 'made', 'on', 'the', 'way');
    children = [];
  });
  afterEach(async () => {
    for (const child of children) child.kill('SIGKILL');
    await rm(join(dir, '../../../..'), { recursive: true, force: true });
  });

  async function fill(): Promise<void> {
    const { store } = await openLevelStore(dir, { prng });
    for (let index = 1; index <= 20; index++) {
      await write(store, { hardState: hardState(1, index - 1), entries: entries(index, index, 1) });
    }
    await store.close();
  }

  test('a directory of another version is not marked as damaged: its own version opens it again', async () => {
    await fill();
    await editCells(join(dir, 'log'), (cells) => cells.set(IDENTITY_KEY, identityOfFormat(2)));
    await expect(openLevelStore(dir, { prng })).rejects.toMatchObject({ code: 'OTHER_FORMAT' });
    expect(existsSync(join(dir, 'damaged'))).toBe(false);
  });

  /** LevelDB's write-ahead log, where the last writes lie. */
  async function logFile(): Promise<string> {
    const name = (await readdir(join(dir, 'log'))).find((each) => each.endsWith('.log'));
    if (name === undefined) throw new Error('LevelDB has no log file');
    return join(dir, 'log', name);
  }

  const opening = () => openLevelStore(dir, { prng });

  test('a flipped byte in the file is found, and stays found though LevelDB repairs it away', async () => {
    await fill();
    const path = await logFile();
    const bytes = await readFile(path);
    const middle = bytes.length >> 1;
    bytes[middle] = (bytes[middle] ?? 0) ^ 0xff;
    await writeFile(path, bytes);
    await expect(opening()).rejects.toThrow(/dropping \d+ bytes/);
    for (let again = 0; again < 3; again++) await expect(opening()).rejects.toMatchObject({ code: 'LOG_DAMAGED' });
  });

  test('damage is found though the process died right after the recovery that dropped it', async () => {
    await fill();
    const path = await logFile();
    const bytes = await readFile(path);
    bytes[bytes.length >> 1] = (bytes[bytes.length >> 1] ?? 0) ^ 0xff;
    await writeFile(path, bytes);
    await editCells(join(dir, 'log'), () => {});
    await expect(opening()).rejects.toThrow(/dropping \d+ bytes/);
  });

  test('a tail cut off in the middle of a record is found by the mark, for LevelDB says nothing', async () => {
    await fill();
    const path = await logFile();
    await truncate(path, (await readFile(path)).length - 10);
    await expect(opening()).rejects.toThrow('the last entry is 19, but entry 20 was once synced');
    expect(await readFile(join(dir, 'log', 'LOG'), 'utf8')).not.toContain('dropping');
  });

  test('a vote that was cut off cleanly is found by the mark: it could be given a second time', async () => {
    await fill();
    const { store } = await opening();
    await write(store, { hardState: hardState(7, 19, null) });
    await write(store, { hardState: hardState(7, 19, 'n2') });
    await store.close();
    const path = await logFile();
    const bytes = await readFile(path);
    const [term, vote] = logFileRecords(bytes);
    await truncate(path, vote?.begin);
    await expect(opening()).rejects.toThrow('the vote of term 7 is missing, but was once synced');
    await rm(join(dir, 'damaged'));
    await editCells(join(dir, 'log'), (cells) => cells.set(HARD_STATE_KEY, encodeHardState(hardState(6, 19))));
    expect(term?.begin).toBe(0);
    await expect(opening()).rejects.toThrow('HardState has term 6, but term 7 was once synced');
  });

  test('a table file that was damaged is found while it is read, and stays found', async () => {
    await fill();
    // At the next open LevelDB moves its log to a table.
    await (await opening()).store.close();
    const name = (await readdir(join(dir, 'log'))).find((each) => each.endsWith('.ldb')) ?? '';
    const bytes = await readFile(join(dir, 'log', name));
    bytes[bytes.length - 1] = (bytes[bytes.length - 1] ?? 0) ^ 0xff;
    await writeFile(join(dir, 'log', name), bytes);
    for (let again = 0; again < 2; again++) await expect(opening()).rejects.toMatchObject({ code: 'LOG_DAMAGED' });
  });

  test('a missing manifest is damage, and not an empty directory', async () => {
    await fill();
    const manifest = (await readdir(join(dir, 'log'))).find((each) => each.startsWith('MANIFEST'));
    await rm(join(dir, 'log', manifest ?? ''));
    await expect(opening()).rejects.toMatchObject({ code: 'LOG_DAMAGED' });
  });

  test('a log directory that vanished is found by the mark', async () => {
    await fill();
    await rm(join(dir, 'log'), { recursive: true });
    await expect(opening()).rejects.toThrow('it is empty, but held 20 entries');
  });

  test('a torn mark is no damage: a power cut may do that', async () => {
    await fill();
    await writeFile(join(dir, 'mark'), Buffer.alloc(29, 7));
    const { store, contents } = await opening();
    await store.close();
    expect(contents.entries).toHaveLength(20);
  });

  test('the mark never stands above a log that was cut', async () => {
    await fill();
    const { store } = await opening();
    await write(store, { hardState: hardState(2, 0), entries: entries(5, 6, 2) });
    await write(store, { hardState: hardState(3, 4), snapshot: snapshot(4, 3), resetLog: true });
    await store.close();
    const next = await opening();
    await next.store.close();
    expect(next.contents.snapshot?.meta.index).toBe(4);
  });

  test('a busy directory is named', async () => {
    const { store } = await opening();
    await expect(opening()).rejects.toMatchObject({ code: 'DATA_DIR_BUSY', detail: expect.stringContaining(dir) });
    await store.close();
  });

  test('a place where no directory can be made is a failed disk', async () => {
    const file = join(dir, '../../../..', 'file');
    await writeFile(file, '');
    await expect(openLevelStore(join(file, 'data'), { prng })).rejects.toMatchObject({ code: 'DISK_FAILED' });
    expect(existsSync(dir)).toBe(false);
  });

  test('a failed write is the last one, and what was acknowledged before it is there', async () => {
    const writer = `exec "$0" --import tsx "$1" "$2"`;
    const path = join(import.meta.dirname, 'writer.ts');
    // No file of the child may grow beyond 100 blocks: its disk is full, and nobody else's.
    const child = spawn('/bin/sh', ['-c', `ulimit -f 100; ${writer}`, process.execPath, path, dir], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    children.push(child);
    let output = '';
    child.stdout.on('data', (chunk: Buffer) => {
      output += chunk.toString();
    });
    await new Promise((resolve) => child.once('close', resolve));
    const lines = output.trimEnd().split('\n');
    expect(lines.slice(-2)).toEqual(['DISK_FAILED', 'DISK_FAILED']);
    const acknowledged = Number(lines.at(-3));
    expect(acknowledged).toBeGreaterThan(10);
    const { store, contents } = await opening();
    await store.close();
    expect(contents.entries.length).toBeGreaterThanOrEqual(acknowledged);
  });

  test('what was acknowledged is there after kill -9', async () => {
    const child = spawn(process.execPath, ['--import', 'tsx', join(import.meta.dirname, 'writer.ts'), dir], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    children.push(child);
    let output = '';
    // The child prints an index once `done` was called for it, and never stops by itself.
    await new Promise<void>((resolve) => {
      child.stdout.on('data', (chunk: Buffer) => {
        output += chunk.toString();
        if (output.split('\n').length > 30) resolve();
      });
    });
    const exited = new Promise((resolve) => child.once('close', resolve));
    child.kill('SIGKILL');
    await exited;
    const acknowledged = Number(output.trimEnd().split('\n').at(-1));
    expect(acknowledged).toBeGreaterThanOrEqual(30);
    const { store, contents } = await opening();
    await store.close();
    expect(contents.entries.length).toBeGreaterThanOrEqual(acknowledged);
  });
});
