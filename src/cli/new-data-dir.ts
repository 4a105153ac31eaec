/**
 * A new data directory from a backup: a place where a node can start, or nothing.
 *
 * It is made in a folder inside the target, since the target itself may be a mount point that cannot be renamed. Then
 * its two parts move up, the mark first: a node that is started between the two finds a mark without a log, and refuses.
 * What an interrupted restore left behind is no reason to refuse the next one.
 *
 * Invariant: a directory that holds anything else is never touched.
 */
import { mkdirSync, readdirSync, readFileSync, renameSync, rmSync, statSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { errorText, PolarisError } from '../base/errors.ts';
import { BACKUP_BYTES_MAX } from '../base/limits.ts';
import type { LogIndex } from '../base/types.ts';
import { type Backup, decodeBackup, type RestoreTarget, restoreBatch } from '../daemon/backup.ts';
import { realPrng } from '../daemon/real.ts';
import { decodeImage } from '../daemon/roster.ts';
import { decodeTable } from '../ranges/snapshot.ts';
import { openLevelStore } from '../store/level.ts';
import { syncDirectory } from '../store/mark.ts';
import type { Store, StoreBatch } from '../store/types.ts';

const UNFINISHED = '.restoring';

export interface NewDataDir {
  readonly index: LogIndex;
  readonly jobs: number;
  readonly paused: number;
}

/** @throws PolarisError FILE_FAILED, BAD_BACKUP */
export function readBackup(path: string): Backup {
  let bytes: Uint8Array;
  try {
    if (statSync(path).size > BACKUP_BYTES_MAX)
      throw new PolarisError('BAD_BACKUP', `${path} is too large for a backup`);
    bytes = readFileSync(path);
  } catch (cause) {
    if (cause instanceof PolarisError) throw cause;
    throw new PolarisError('FILE_FAILED', `${path} cannot be read: ${errorText(cause)}`, { cause });
  }
  return decodeBackup(bytes);
}

/** @throws PolarisError DATA_DIR_NOT_EMPTY, BAD_BACKUP, FILE_FAILED, DISK_FAILED */
export async function writeNewDataDir(
  directory: string,
  backup: Backup,
  target: Omit<RestoreTarget, 'instanceId'>,
): Promise<NewDataDir> {
  const dir = resolve(directory);
  const unfinished = join(dir, UNFINISHED);
  onDisk(dir, () => clear(dir, unfinished));
  try {
    const { store, contents } = await openLevelStore(unfinished, { prng: realPrng });
    let batch: StoreBatch;
    try {
      batch = restoreBatch(backup, { ...target, instanceId: contents.instanceId });
      await write(store, batch);
    } finally {
      await store.close();
    }
    onDisk(dir, () => moveUp(dir, unfinished));
    return summaryOf(batch);
  } catch (thrown) {
    onDisk(dir, () => rmSync(unfinished, { recursive: true, force: true }));
    throw thrown;
  }
}

/** Leaves an empty directory, synced into its parent. */
function clear(dir: string, unfinished: string): void {
  const firstMade = mkdirSync(dir, { recursive: true });
  if (firstMade !== undefined) {
    for (let path = dir; path.length >= firstMade.length; path = dirname(path)) syncDirectory(dirname(path));
  }
  const found = readdirSync(dir).filter((name) => name !== UNFINISHED);
  if (found.length > 0) {
    throw new PolarisError('DATA_DIR_NOT_EMPTY', `${dir} is not empty: it holds ${found.slice(0, 3).join(', ')}`);
  }
  rmSync(unfinished, { recursive: true, force: true });
}

function moveUp(dir: string, unfinished: string): void {
  for (const part of ['mark', 'log']) {
    renameSync(join(unfinished, part), join(dir, part));
    syncDirectory(dir);
  }
  rmSync(unfinished, { recursive: true, force: true });
  syncDirectory(dir);
}

function write(store: Store, batch: StoreBatch): Promise<void> {
  return new Promise((done, fail) => store.write(batch, (error) => (error === null ? done() : fail(error))));
}

function summaryOf({ snapshot }: StoreBatch): NewDataDir {
  if (!snapshot) return { index: 0, jobs: 0, paused: 0 };
  const { jobs } = decodeTable(decodeImage(snapshot.data).table);
  return { index: snapshot.meta.index, jobs: jobs.length, paused: jobs.filter((job) => job.state === 'paused').length };
}

function onDisk(dir: string, run: () => void): void {
  try {
    run();
  } catch (cause) {
    if (cause instanceof PolarisError) throw cause;
    throw new PolarisError('FILE_FAILED', `${dir}: ${errorText(cause)}`, { cause });
  }
}
