/**
 * Masters of simulated jobs, as their job hosts run them: each takes in outputs and writes down which, in the order in which
 * it took them. So whoever reads a state can say of every point whether it is in it, and how often.
 *
 * A Master takes its time; it throws, its host dies, or a blob that it needs cannot be reached or kept, each now and then.
 *
 * Invariant: an ending that says 'folded' or 'finished' names a blob of which enough copies were made.
 */
import { must } from '../../src/base/assert.ts';
import type { BlobHash, Handle } from '../../src/base/handle.ts';
import type { Prng } from '../../src/base/prng.ts';
import type { FoldEnding, FoldOrder } from '../../src/daemon/env.ts';
import { type Blobs, handleOfTaken, type Made } from './emission.ts';
import type { Scheduler } from './scheduler.ts';

/** The longest fold of those that are not hanging. */
const FOLD_MS_MAX = 2_000;
const THROWS_CHANCE = 0.01;
const HOST_DIES_CHANCE = 0.1;

/** What states and results hold: bytes, as it were, which whoever has the hash can have. */
export class Takings {
  readonly #taken = new Map<BlobHash, readonly Made[]>();

  write(job: string, taken: readonly Made[]): Handle {
    const handle = handleOfTaken(job, taken);
    this.#taken.set(handle.hash, taken);
    return handle;
  }

  /** Nothing was taken in where there is no state. */
  read(handle: Handle | null): readonly Made[] {
    return handle === null ? [] : must(this.#taken.get(handle.hash), 'a state that a Master wrote');
  }
}

export interface SimMastersOptions {
  readonly scheduler: Scheduler;
  readonly prng: Prng;
  readonly blobs: Blobs;
  readonly takings: Takings;
}

export class SimMasters {
  readonly #options: SimMastersOptions;

  constructor(options: SimMastersOptions) {
    this.#options = options;
  }

  fold(order: FoldOrder, done: (ending: FoldEnding) => void): void {
    const { scheduler, prng } = this.#options;
    const [ms, lot] = [prng.next() * FOLD_MS_MAX, prng.next()];
    scheduler.after(ms, () => {
      if (lot < THROWS_CHANCE) return done({ kind: 'failed', culprit: 'master', error: 'the Master threw' });
      if (lot < THROWS_CHANCE + HOST_DIES_CHANCE) {
        return done({ kind: 'failed', culprit: 'host', error: 'the host of the Master was killed' });
      }
      this.#take(order, done);
    });
  }

  #take({ job, state, outputs }: FoldOrder, done: (ending: FoldEnding) => void): void {
    const { blobs, takings } = this.#options;
    const needed = [...(state === null ? [] : [state]), ...(outputs ?? []).map(({ handle }) => handle)];
    const lost = needed.find(({ hash }) => !blobs.isReadable(hash));
    if (lost !== undefined)
      return done({ kind: 'failed', culprit: 'node', error: `no copy of ${lost.hash} can be read` });
    const more = (outputs ?? []).map(({ start, end, handle }) => ({ start, end, epoch: handle.rows }));
    const taken = [...takings.read(state), ...more];
    // A Master that took in nothing has neither state nor result.
    if (taken.length === 0) return done({ kind: 'finished', result: null, stamp: 0 });
    const handle = takings.write(job, taken);
    blobs.store(handle, (stored) => {
      if (stored === null) return done({ kind: 'failed', culprit: 'node', error: 'too few copies could be made' });
      const { stamp } = stored;
      done(outputs === null ? { kind: 'finished', result: handle, stamp } : { kind: 'folded', state: handle, stamp });
    });
  }
}
