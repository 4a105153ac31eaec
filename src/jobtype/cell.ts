/**
 * Cell: where a thread and its host meet without a message.
 *
 * A point may cost less than a microsecond, a message costs ten. So the thread writes how far it is into shared memory,
 * the host reads it when it wants to report, and messages are left for the moments when one of the two sleeps.
 *
 * Invariants: cursor <= begun, in whatever order the two are read · only the thread writes them, hold and sealed · only the host writes
 * committed, limit, end, deadline and stop · what was handed out lies below the end.
 */
import { assert } from '../base/assert.ts';
import type { Point } from '../base/types.ts';

const CURSOR = 0;
const BEGUN = 1;
const COMMITTED = 2;
const DEADLINE = 3;
const LIMIT = 4;
const END = 5;
const WANTED = 6;
const HELD = 7;
const SEALED = 8;
const WORDS = 9;
const STOP = 0;
const WAITING = 1;
const FLAGS = 2;
const NEVER = 2n ** 63n - 1n;
const NANOSECONDS_PER_MS = 1_000_000;

export class Cell {
  readonly buffer: SharedArrayBuffer;
  /** 64-bit integers: a point needs 53 bits, and two halves could be read torn. */
  readonly #words: BigInt64Array;
  readonly #flags: Int32Array;

  constructor(buffer: SharedArrayBuffer) {
    this.buffer = buffer;
    this.#words = new BigInt64Array(buffer, 0, WORDS);
    this.#flags = new Int32Array(buffer, WORDS * BigInt64Array.BYTES_PER_ELEMENT, FLAGS);
  }

  static create(cursor: Point, limit: Point, end: Point, deadline: number): Cell {
    const bytes = WORDS * BigInt64Array.BYTES_PER_ELEMENT + FLAGS * Int32Array.BYTES_PER_ELEMENT;
    const cell = new Cell(new SharedArrayBuffer(bytes));
    // The end first: nothing is begun beyond it.
    Atomics.store(cell.#words, END, BigInt(end));
    cell.begin(cursor);
    cell.acknowledge(cursor);
    Atomics.store(cell.#words, COMMITTED, BigInt(cursor));
    Atomics.store(cell.#words, LIMIT, BigInt(limit));
    cell.hold(null);
    cell.moveDeadline(deadline);
    return cell;
  }

  // ---- the thread's side ----

  /**
   * Every point below `begun` was handed out. Written before a point is seen by job code. False, and nothing is begun, when
   * the host has cut the task short of it meanwhile: each side writes first and then looks at what the other wrote. What
   * is wanted has a word of its own, so that nobody ever reads as begun what is then refused.
   */
  begin(begun: Point): boolean {
    Atomics.store(this.#words, WANTED, BigInt(begun));
    if (begun > this.end) return false;
    Atomics.store(this.#words, BEGUN, BigInt(begun));
    return true;
  }

  acknowledge(cursor: Point): void {
    assert(cursor <= this.begun, 'only points that were handed out are acknowledged');
    Atomics.store(this.#words, CURSOR, BigInt(cursor));
  }

  /** Points from here on emitted batches that lie in no sealed segment; null: none did. Written before the cursor passes them. */
  hold(from: Point | null): void {
    Atomics.store(this.#words, HELD, from === null ? NEVER : BigInt(from));
  }

  /** One more segment is sealed. Written before the hold on its points is taken away, and the word that tells of it. */
  seal(): void {
    Atomics.add(this.#words, SEALED, 1n);
  }

  /** Set before a last look at `committed`: the host looks the other way round, so that no wake-up is lost. */
  set waiting(waiting: boolean) {
    Atomics.store(this.#flags, WAITING, waiting ? 1 : 0);
  }

  /**
   * Whether the thread must hand out nothing more. The deadline is looked at here too, because a machine that slept
   * wakes its threads in any order.
   */
  get stopped(): boolean {
    return Atomics.load(this.#flags, STOP) === 1 || process.hrtime.bigint() >= Atomics.load(this.#words, DEADLINE);
  }

  // ---- the host's side ----

  /** Points below `limit` may be handed out. What was allowed once stays allowed: an older word that comes late says less. */
  commit(cursor: Point, limit: Point): void {
    Atomics.store(this.#words, COMMITTED, BigInt(Math.max(cursor, this.committed)));
    Atomics.store(this.#words, LIMIT, BigInt(Math.max(limit, this.limit)));
  }

  /** Cuts the task short at about the middle of what is not begun, and gives the end that it now has. */
  keepHalf(): Point {
    const { begun, end } = this;
    const middle = begun + Math.ceil((end - begun) / 2);
    Atomics.store(this.#words, END, BigInt(middle));
    // The thread may have wanted more before it could see the new end.
    const kept = Math.min(end, Math.max(middle, Number(Atomics.load(this.#words, WANTED))));
    Atomics.store(this.#words, END, BigInt(kept));
    return kept;
  }

  /** Monotonic milliseconds. */
  moveDeadline(at: number): void {
    const nanoseconds = Number.isFinite(at) ? BigInt(Math.floor(at * NANOSECONDS_PER_MS)) : NEVER;
    Atomics.store(this.#words, DEADLINE, nanoseconds);
  }

  stop(): void {
    Atomics.store(this.#flags, STOP, 1);
  }

  get waiting(): boolean {
    return Atomics.load(this.#flags, WAITING) === 1;
  }

  /**
   * The cursor as far as batches allow, given the segments that the host knows of; null while one that it does not know of
   * is on its way. The cursor is read first: what it has passed by then is held, or counted as sealed.
   */
  settled(segments: number): Point | null {
    const { cursor } = this;
    const held = Number(Atomics.load(this.#words, HELD));
    return Number(Atomics.load(this.#words, SEALED)) > segments ? null : Math.min(cursor, held);
  }

  // ---- both ----

  /** To read both, read the cursor first: begun can only have grown meanwhile. */
  get cursor(): Point {
    return Number(Atomics.load(this.#words, CURSOR));
  }

  get begun(): Point {
    return Number(Atomics.load(this.#words, BEGUN));
  }

  get committed(): Point {
    return Number(Atomics.load(this.#words, COMMITTED));
  }

  get end(): Point {
    return Number(Atomics.load(this.#words, END));
  }

  get limit(): Point {
    return Number(Atomics.load(this.#words, LIMIT));
  }
}
