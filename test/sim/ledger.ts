/**
 * Ledger: every execution of every point, written down by the model of the job hosts, where no daemon can reach it.
 *
 * It is what the outside world saw. The checker holds the promises of the cluster against it: nothing missing, nothing
 * twice beyond the window, nobody at work without a lease. Executions come in blocks, but each point has its own count
 * and its own moment.
 */
import type { Epoch, JobId, NodeId, Point } from '../../src/base/types.ts';

/** Points [from, to) of a job, begun one after the other: `from` at `firstAt`, each next one `pointMs` later. */
export interface Block {
  readonly job: JobId;
  readonly epoch: Epoch;
  readonly worker: NodeId;
  readonly from: Point;
  readonly to: Point;
  readonly firstAt: number;
  readonly pointMs: number;
}

export function begunAt(block: Block, point: Point): number {
  return block.firstAt + (point - block.from) * block.pointMs;
}

const CHUNK_POINTS = 4_096;

/** How often each point of one job was begun. Sparse, so that a job over 10^15 points costs what was worked of it. */
class Counts {
  readonly #chunks = new Map<number, Uint8Array>();

  of(point: Point): number {
    return this.#chunks.get(Math.floor(point / CHUNK_POINTS))?.[this.#offset(point)] ?? 0;
  }

  add(point: Point): number {
    const key = Math.floor(point / CHUNK_POINTS);
    let chunk = this.#chunks.get(key);
    if (chunk === undefined) {
      chunk = new Uint8Array(CHUNK_POINTS);
      this.#chunks.set(key, chunk);
    }
    const offset = this.#offset(point);
    const count = (chunk[offset] ?? 0) + 1;
    chunk[offset] = count;
    return count;
  }

  #offset(point: Point): number {
    return point - Math.floor(point / CHUNK_POINTS) * CHUNK_POINTS;
  }
}

/** Part of a block in which every point has now been begun the same number of times. */
export interface Repeat {
  readonly from: Point;
  readonly to: Point;
  readonly count: number;
}

export class Ledger {
  readonly #jobs = new Map<JobId, Counts>();
  readonly #told = new Set<string>();
  readonly #written: (block: Block, repeats: readonly Repeat[]) => void;
  executions = 0;
  repetitions = 0;

  constructor(written: (block: Block, repeats: readonly Repeat[]) => void) {
    this.#written = written;
  }

  write(block: Block): void {
    let counts = this.#jobs.get(block.job);
    if (counts === undefined) {
      counts = new Counts();
      this.#jobs.set(block.job, counts);
    }
    const repeats: { from: Point; to: Point; count: number }[] = [];
    for (let point = block.from; point < block.to; point++) {
      const count = counts.add(point);
      if (count === 1) continue;
      this.repetitions += 1;
      const last = repeats.at(-1);
      if (last !== undefined && last.to === point && last.count === count) last.to = point + 1;
      else repeats.push({ from: point, to: point + 1, count });
    }
    this.executions += block.to - block.from;
    this.#written(block, repeats);
  }

  /** A Master took the word that a run of its job ended. */
  told(job: JobId, run: number): void {
    this.#told.add(`${job}/${run}`);
  }

  wasTold(job: JobId, run: number): boolean {
    return this.#told.has(`${job}/${run}`);
  }

  count(job: JobId, point: Point): number {
    return this.#jobs.get(job)?.of(point) ?? 0;
  }

  /** The first point of [from, to) that was never begun, or null. */
  missing(job: JobId, from: Point, to: Point): Point | null {
    const counts = this.#jobs.get(job);
    for (let point = from; point < to; point++) if (counts === undefined || counts.of(point) === 0) return point;
    return null;
  }
}
