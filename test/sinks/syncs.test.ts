/**
 * Syncs of files: a line is on the disk before its point is acknowledged, seen through the order of the calls.
 */
import { appendFileSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import type { FileHandle } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { Append } from '../../jobs/append/index.ts';
import type { Point } from '../../src/base/types.ts';
import { Cell } from '../../src/jobtype/cell.ts';
import { RunningTask } from '../../src/jobtype/task.ts';
import { FileSink } from '../../src/sinks/file.ts';

const calls = vi.hoisted(() => ({ made: [] as string[], syncFails: false }));

vi.mock('node:fs', async (original) => {
  const real = await original<typeof import('node:fs')>();
  const writeSync = (file: number, bytes: Uint8Array): number => {
    calls.made.push('write');
    return real.writeSync(file, bytes);
  };
  return { ...real, writeSync };
});

vi.mock('node:fs/promises', async (original) => {
  const real = await original<typeof import('node:fs/promises')>();
  const noted = (file: FileHandle, path: string, name: 'sync' | 'datasync' | 'write') => {
    const call = file[name].bind(file) as (...args: unknown[]) => Promise<unknown>;
    const note = async (...args: unknown[]): Promise<unknown> => {
      if (calls.syncFails && name === 'datasync') throw new Error('EIO: i/o error, fdatasync');
      const result = await call(...args);
      calls.made.push(name === 'sync' ? `sync ${basename(path)}` : name);
      return result;
    };
    Object.assign(file, { [name]: note });
  };
  const open: typeof real.open = async (path, ...rest) => {
    const file = await real.open(path, ...rest);
    for (const name of ['sync', 'datasync', 'write'] as const) noted(file, String(path), name);
    return file;
  };
  return { ...real, open };
});

let dir = '';
let path = '';

beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'polaris-syncs-'));
  path = join(dir, 'lines');
  calls.made = [];
  calls.syncFails = false;
});

afterEach(() => rmSync(dir, { recursive: true, force: true }));

test('a file of a sink: its name is synced first, and a push resolves behind the sync of its lines', async () => {
  const sink = await FileSink.open(path, 1);
  await sink.pushMany(0, ['a', 'b']);
  calls.made.push('pushed');
  await sink.push(2, 'c');
  calls.made.push('pushed');
  await sink.close();
  expect(calls.made).toEqual([`sync ${basename(dir)}`, 'write', 'datasync', 'pushed', 'write', 'datasync', 'pushed']);
});

test('a file of a sink whose sync failed takes nothing more: a later sync would prove nothing', async () => {
  const sink = await FileSink.open(path, 1);
  calls.syncFails = true;
  await expect(sink.push(0, 'a')).rejects.toMatchObject({ code: 'FILE_FAILED' });
  calls.syncFails = false;
  await expect(sink.push(1, 'b')).rejects.toMatchObject({ code: 'FILE_FAILED' });
  await sink.close();
});

/** Works the points by the real task, and notes what is acknowledged among the calls. */
async function append(end: Point, intervalMs = 0): Promise<Cell> {
  const cell = Cell.create(0, end, end, Number.POSITIVE_INFINITY);
  const acknowledge = cell.acknowledge.bind(cell);
  cell.acknowledge = (cursor) => {
    acknowledge(cursor);
    calls.made.push(`acknowledged ${cursor}`);
  };
  const metadata = JSON.stringify({ sink: `file:${path}`, intervalMs });
  const order = { epoch: 1, job: 'job', start: 0, end, cursor: 0, attempts: 0, metadata };
  const task = new RunningTask({
    order: { ...order, options: { delivery: 'at-least-once', commitEvery: 3 } },
    ...{ cell, worker: 'w1', nudge: () => {}, log: () => {}, data: null, codeHash: 'code', isWhole: false },
  });
  await new Append().work(task as never);
  task.finish();
  return cell;
}

test('append syncs as many lines at once as may be lost, and acknowledges no point before', async () => {
  await append(7);
  expect(calls.made).toEqual([
    `sync ${basename(dir)}`,
    ...['write', 'write', 'write', 'datasync', 'acknowledged 3'],
    ...['write', 'write', 'write', 'datasync', 'acknowledged 6'],
    ...['write', 'datasync', 'acknowledged 7'],
  ]);
});

test('append that acknowledges each line before a pause syncs each', async () => {
  await append(2, 0.001);
  const each = ['write', 'datasync'];
  expect(calls.made).toEqual([`sync ${basename(dir)}`, ...each, 'acknowledged 1', ...each, 'acknowledged 2']);
});

test('append acknowledges nothing of a piece whose sync failed', async () => {
  calls.syncFails = true;
  await expect(append(7)).rejects.toThrow('EIO');
  expect(calls.made).toEqual([`sync ${basename(dir)}`, 'write', 'write', 'write']);
});

test('append ends a line that a power cut tore before it writes its own', async () => {
  appendFileSync(path, '1700000000000\t0\t1\tw1\n1700000000000\t1');
  await append(1);
  await append(1);
  const lines = readFileSync(path, 'utf8').split('\n');
  expect(lines).toHaveLength(5);
  expect(lines[1]).toBe('1700000000000\t1');
  for (const line of lines.slice(2, 4)) expect(line).toMatch(/^\d+\t0\t1\tw1$/);
});

test('append to what is no file on a disk has nothing to sync', async () => {
  path = '/dev/null';
  expect((await append(1)).cursor).toBe(1);
  expect(calls.made).toEqual(['write', 'acknowledged 1']);
});
