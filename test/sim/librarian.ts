/**
 * Librarian: people who keep datasets. They store blobs and put names to them, sometimes long after, read and drop and
 * pin them, and have blobs condemned, whether anybody refers to them or not.
 *
 * They ask as all clients do, through any node, and again when they get no answer; what they were told goes into a history
 * of registers (register-history.ts). Each upload has a mark of its own, the number of rows in its handle, so that a read
 * shows which of them it was, though there are few blobs to choose from.
 */
import { must } from '../../src/base/assert.ts';
import type { ErrorCode } from '../../src/base/errors.ts';
import type { BlobHash, Handle } from '../../src/base/handle.ts';
import { NAMING_TRIES_MAX } from '../../src/base/limits.ts';
import type { Prng } from '../../src/base/prng.ts';
import type { NodeId } from '../../src/base/types.ts';
import type { DataChange, Result } from '../../src/daemon/api.ts';
import type { Outcome } from '../../src/ranges/types.ts';
import { type Client, endingOf } from './clients.ts';
import type { Content, RegisterAnswer, RegisterOperation, RegisterQuestion } from './register-history.ts';
import type { Stored } from './shelves.ts';
import type { LibraryPlan } from './wishes.ts';
import type { World } from './world.ts';

export interface LibrarianOptions {
  readonly world: World;
  readonly plan: LibraryPlan;
  readonly prng: Prng;
  readonly client: Client;
}

const RETRY_MS = 500;
const ATTEMPTS_MAX = 5;
/** Between storing and naming: the table takes an upload that is late by any number of entries. */
const NAMING_MS_MAX = 15_000;
const TTL_MS = 60_000;
const SCHEMA = '0123456789abcdef';

interface Upload {
  readonly name: string;
  readonly hash: BlobHash;
  readonly entrance: NodeId;
  readonly expected: number | null;
}

export class Librarian {
  readonly #options: LibrarianOptions;
  /** What was last heard of each name: its version, or 0 when there is none. */
  readonly #heard = new Map<string, number>();
  #uploadCount = 0;
  #on = false;

  constructor(options: LibrarianOptions) {
    this.#options = options;
  }

  start(): void {
    this.#on = true;
    const { plan, world } = this.#options;
    this.#arm(plan.actEveryMs, () => this.#act());
    // As many walks as there are nodes, in the time in which each should have one.
    this.#arm(plan.keepEveryMs / world.nodes.size, () => world.shelves.keep(this.#anyNode()));
  }

  stop(): void {
    this.#on = false;
  }

  /** Everything once more: after peace came, all names are read, and all keepers walk. */
  lookAround(): void {
    const { plan, world } = this.#options;
    for (let number = 0; number < plan.nameCount; number++) this.#read(nameOf(number));
    for (const id of world.nodes.keys()) world.shelves.keep(id);
  }

  #arm(meanMs: number, act: () => void): void {
    const { world, prng } = this.#options;
    world.scheduler.after(-Math.log(1 - prng.next()) * meanMs, () => {
      if (!this.#on) return;
      act();
      this.#arm(meanMs, act);
    });
  }

  #act(): void {
    const { prng } = this.#options;
    const name = nameOf(prng.integer(0, this.#options.plan.nameCount));
    const lot = prng.next();
    if (lot < 0.4) return this.#upload(name);
    if (lot < 0.7) return this.#read(name);
    if (lot < 0.82) return this.#drop(name);
    if (lot < 0.87) return this.#pin(name);
    this.#condemn();
  }

  // ---- putting ------------------------------------------------------------------------------------------------------

  #upload(name: string): void {
    const { prng } = this.#options;
    const upload = { name, hash: this.#anyBlob(), entrance: this.#anyNode(), expected: this.#expectation(name) };
    // A moment most of the time; else as long as a large body takes.
    const delayMs = prng.chance(0.6) ? prng.next() * 50 : prng.next() * NAMING_MS_MAX;
    this.#store(upload, delayMs, NAMING_TRIES_MAX);
  }

  #store(upload: Upload, delayMs: number, tries: number): void {
    const { world } = this.#options;
    world.shelves.store(upload.entrance, upload.hash, (stored) => {
      world.trace.count(`dataset: ${stored === null ? 'too few copies' : 'stored'}`);
      if (stored === null) return;
      this.#uploadCount += 1;
      const mark = this.#uploadCount;
      world.copies.stored(mark, stored);
      world.scheduler.after(delayMs, () => {
        if (this.#on) this.#put(upload, mark, stored, tries, ATTEMPTS_MAX);
      });
    });
  }

  #put(upload: Upload, mark: number, stored: Stored, tries: number, attempts: number): void {
    const { name, hash, expected } = upload;
    const handle: Handle = { hash, bytes: 1_000, rows: mark, schema: SCHEMA };
    const { prng, world } = this.#options;
    const rest = { ttlMs: prng.chance(0.5) ? TTL_MS : null, pinned: prng.chance(0.2) };
    const change: DataChange = { kind: 'put-dataset', name, handle, stamp: stored.stamp, expected, ...rest };
    this.#change(name, { kind: 'put', value: String(mark), expected }, change, (code) => {
      // So long on its way that its copies were given up meanwhile.
      if (code === 'BLOB_CONDEMNED' && tries > 1) return this.#store(upload, 0, tries - 1);
      const isOpen = code === 'NO_LEADER' || code === 'OUTCOME_UNKNOWN' || code === 'TIMED_OUT';
      if (!isOpen || attempts <= 1 || !this.#on) return;
      world.scheduler.after(prng.next() * 2 * RETRY_MS, () => this.#put(upload, mark, stored, tries, attempts - 1));
    });
  }

  /** The version that was heard of last, none at all, or whatever there is. */
  #expectation(name: string): number | null {
    const { prng } = this.#options;
    const lot = prng.next();
    if (lot < 0.4) return null;
    return lot < 0.9 ? (this.#heard.get(name) ?? 0) : 0;
  }

  // ---- all else -----------------------------------------------------------------------------------------------------

  #drop(name: string): void {
    const expected = this.#options.prng.chance(0.5) ? null : (this.#heard.get(name) ?? null);
    this.#change(name, { kind: 'drop', expected }, { kind: 'drop-dataset', name, expected });
  }

  #pin(name: string): void {
    const pinned = this.#options.prng.chance(0.5);
    this.#change(name, { kind: 'pin' }, { kind: 'pin-dataset', name, pinned });
  }

  #condemn(): void {
    const { world, prng } = this.#options;
    const emitted = world.outputs.anyBlob(prng);
    const hashes = [...new Set([this.#anyBlob(), this.#anyBlob(), ...(emitted === null ? [] : [emitted])])];
    this.#options.client.changeData({ kind: 'condemn', hashes }, () => {});
  }

  #read(name: string): void {
    const { client, world } = this.#options;
    const { registers } = world;
    const operation = registers.asked(name, { kind: 'read' }, world.now);
    client.dataset(name, (result) => {
      world.trace.count(`dataset: read ${endingOf(result)}`);
      if (result === null || !result.ok) return registers.dropped(name, operation);
      const { value } = result;
      const content: Content | null = value && { version: value.version, value: String(value.handle.rows) };
      this.#heard.set(name, content?.version ?? 0);
      registers.answered(operation, { kind: 'content', content }, world.now);
    });
  }

  #change(name: string, question: RegisterQuestion, change: DataChange, done: (code: string) => void = () => {}): void {
    const { client, world } = this.#options;
    const operation = world.registers.asked(name, question, world.now);
    client.changeData(change, (result) => {
      const code = codeOf(result);
      world.trace.count(`dataset: ${question.kind} ${code}`);
      this.#settle(name, operation, result);
      done(code);
    });
  }

  /** The history keeps what was answered, keeps what is in doubt as it is, and forgets what never took place. */
  #settle(name: string, operation: RegisterOperation, result: Result<Outcome> | null): void {
    const { registers, now } = this.#options.world;
    const answer = answerOf(result);
    if (answer?.kind === 'put') this.#heard.set(name, answer.version);
    if (answer !== null) registers.answered(operation, answer, now);
    else if (endingOf(result) === 'refused') registers.dropped(name, operation);
  }

  #anyBlob(): BlobHash {
    return this.#options.prng.integer(0, this.#options.plan.blobCount).toString(16).padStart(64, '0');
  }

  #anyNode(): NodeId {
    const { world, prng } = this.#options;
    const voters = [...world.nodes.values()].filter(({ plan }) => plan.config.role === 'voter');
    return must(voters[prng.integer(0, voters.length)], 'a voter').plan.config.id;
  }
}

function nameOf(number: number): string {
  return `dataset-${number}`;
}

function codeOf(result: Result<Outcome> | null): 'ok' | ErrorCode {
  if (result === null) return 'TIMED_OUT';
  return result.ok ? 'ok' : result.error.code;
}

/** What the table itself said; null when it was not asked, or nobody knows. */
function answerOf(result: Result<Outcome> | null): RegisterAnswer | null {
  if (result === null) return null;
  if (result.ok) {
    const { value } = result;
    return value.kind === 'put' ? { kind: 'put', version: value.dataset.version } : { kind: 'done' };
  }
  if (result.error.code === 'DATASET_CONFLICT') return { kind: 'conflict' };
  return result.error.code === 'NOT_FOUND' ? { kind: 'not-found' } : null;
}
