/**
 * The store on disk: LevelDB, one synced batch at a time.
 *
 * All of a StoreBatch goes into one LevelDB batch with `sync: true`, so term, vote and entries are on disk together or
 * not at all. In the data directory lie `log/` (LevelDB), `mark` (mark.ts) and, once damage was found, `damaged`: LevelDB
 * repairs what it opens by dropping it, so a second start would see nothing wrong any more.
 *
 * Invariants: an acknowledged batch is fdatasynced · nothing is written after a failed write, whose outcome nobody knows
 * (LevelDB brings it back at the next open) · a directory that was damaged once never opens again.
 */
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { Level } from 'level';
import { v4 as uuidv4 } from 'uuid';
import { assert, InvariantError } from '../base/assert.ts';
import { errorText, PolarisError } from '../base/errors.ts';
import type { Prng } from '../base/prng.ts';
import { damaged, encodeIdentity, IDENTITY_KEY } from './cells.ts';
import { readContents } from './contents.ts';
import { MarkFile, syncDirectory } from './mark.ts';
import { boundsOf, type LogBounds, markOf, type Plan, planBatch } from './plan.ts';
import type { Store, StoreBatch, StoreContents } from './types.ts';

type Database = Level<string, Uint8Array>;

/** @throws PolarisError LOG_DAMAGED, DATA_DIR_BUSY or DISK_FAILED. */
export async function openLevelStore(
  directory: string,
  options: { readonly prng: Prng },
): Promise<{ readonly store: Store; readonly contents: StoreContents }> {
  const dir = resolve(directory);
  const logDir = join(dir, 'log');
  const known = existsSync(logDir);
  makeDirectory(logDir);
  const sentence = damageNoted(dir);
  if (sentence !== null) throw new PolarisError('LOG_DAMAGED', sentence);
  const database = await openDatabase(dir, logDir, known);
  let mark: MarkFile | null = null;
  try {
    checkRecovery(logDir);
    mark = new MarkFile(join(dir, 'mark'));
    let contents = readContents(await database.iterator().all(), mark.found);
    if (contents === null) {
      const identity = encodeIdentity(uuidv4({ random: options.prng.bytes(16) }));
      await database.batch().put(IDENTITY_KEY, identity).write({ sync: true });
      contents = readContents(await database.iterator().all(), mark.found);
    }
    assert(contents !== null, 'a disk with an identity is not empty');
    return { store: new LevelStore(database, mark, boundsOf(contents)), contents };
  } catch (thrown) {
    mark?.close();
    await database.close();
    throw noted(dir, inWordsOfTheTable(dir, thrown));
  }
}

/** LevelDB checks its tables while they are read, and Node's own calls throw errors of their own. */
function inWordsOfTheTable(dir: string, thrown: unknown): unknown {
  if (thrown instanceof PolarisError || thrown instanceof InvariantError) return thrown;
  const text = errorText(thrown);
  if (codeOf(thrown) === 'LEVEL_CORRUPTION') return damaged(text, thrown);
  return new PolarisError('DISK_FAILED', `${dir} cannot be read or written: ${text}`, { cause: thrown });
}

/** Every directory on the way that had to be made is synced into its parent. */
function makeDirectory(logDir: string): void {
  try {
    const firstMade = mkdirSync(logDir, { recursive: true });
    if (firstMade === undefined) return;
    for (let path = logDir; path.length >= firstMade.length; path = dirname(path)) syncDirectory(dirname(path));
  } catch (cause) {
    throw new PolarisError('DISK_FAILED', `${dirname(logDir)} cannot be made: ${errorText(cause)}`, { cause });
  }
}

async function openDatabase(dir: string, logDir: string, known: boolean): Promise<Database> {
  const database: Database = new Level(logDir, { keyEncoding: 'utf8', valueEncoding: 'view' });
  try {
    await database.open();
    return database;
  } catch (thrown) {
    const cause = thrown instanceof Error ? (thrown.cause ?? thrown) : thrown;
    const code = codeOf(cause);
    const text = errorText(cause);
    if (code === 'LEVEL_LOCKED') {
      throw new PolarisError('DATA_DIR_BUSY', `another process uses the data directory ${dir}`, { cause });
    }
    // A file that LevelDB's own manifest names and that is not there is lost, not busy.
    const lost = known && text.includes('No such file');
    if (code === 'LEVEL_CORRUPTION' || lost) throw noted(dir, damaged(text, cause));
    throw new PolarisError('DISK_FAILED', `the log in ${logDir} cannot be opened: ${text}`, { cause });
  }
}

function codeOf(thrown: unknown): string {
  return thrown instanceof Error && 'code' in thrown ? String(thrown.code) : '';
}

/**
 * LevelDB's recovery skips what it cannot read and only says so in its LOG. LOG.old is read too: a process that died
 * between recovery and this check must not hide the damage from the next one.
 */
function checkRecovery(logDir: string): void {
  for (const name of ['LOG', 'LOG.old']) {
    const path = join(logDir, name);
    if (!existsSync(path)) continue;
    const line = readFileSync(path, 'utf8')
      .split('\n')
      .find((each) => each.includes('dropping'));
    if (line !== undefined) throw damaged(`LevelDB says: ${line.trim()}`);
  }
}

function damageNoted(dir: string): string | null {
  const path = join(dir, 'damaged');
  if (!existsSync(path)) return null;
  // A disk without room keeps the name of the note and not its words.
  return readFileSync(path, 'utf8') || damaged('as was found at an earlier start').detail;
}

/** Damage is written down, so that it is found again when LevelDB has repaired it away. */
function noted(dir: string, thrown: unknown): unknown {
  if (!(thrown instanceof PolarisError) || thrown.code !== 'LOG_DAMAGED') return thrown;
  try {
    writeFileSync(join(dir, 'damaged'), thrown.detail, { flush: true });
    syncDirectory(dir);
  } catch {
    // A disk so broken that it takes no note: the damage itself is what the operator must hear of.
  }
  return thrown;
}

class LevelStore implements Store {
  readonly #database: Database;
  readonly #mark: MarkFile;
  #bounds: LogBounds;
  #inFlight: Promise<void> | null = null;
  #failed: PolarisError | null = null;
  #closed = false;

  constructor(database: Database, mark: MarkFile, bounds: LogBounds) {
    this.#database = database;
    this.#mark = mark;
    this.#bounds = bounds;
  }

  write(batch: StoreBatch, done: (error: Error | null) => void): void {
    assert(!this.#closed, 'a closed store is not written to');
    assert(this.#inFlight === null, 'one write is in flight at a time');
    // After a failure nobody knows what the disk holds, so there is nothing to plan from.
    const plan = this.#failed === null ? planBatch(this.#bounds, batch) : null;
    this.#inFlight = this.#commit(plan).then(() => {
      this.#inFlight = null;
      // Out of the promise: what the caller throws is his, and not a failed write.
      setImmediate(done, this.#failed);
    });
  }

  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    await this.#inFlight;
    await this.#database.close();
    this.#mark.close();
    // `done` of a write that was in flight came by setImmediate, before this one.
    await new Promise<void>((resolve) => setImmediate(resolve));
  }

  /** Never rejects: a failure is kept, for this write and for all later ones. */
  async #commit(plan: Plan | null): Promise<void> {
    if (plan === null) return;
    try {
      if (plan.truncates) this.#mark.lower();
      const chained = this.#database.batch();
      for (const { key, value } of plan.changes) {
        if (value === null) chained.del(key);
        else chained.put(key, value);
      }
      await chained.write({ sync: true });
      this.#mark.raise(markOf(plan.bounds));
      this.#bounds = plan.bounds;
    } catch (cause) {
      this.#failed = new PolarisError('DISK_FAILED', `a write to the log failed: ${errorText(cause)}`, { cause });
    }
  }
}
