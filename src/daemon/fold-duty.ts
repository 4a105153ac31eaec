/**
 * Fold duty: has the Masters of jobs take in what their points emitted, on the leader alone.
 *
 * It takes a job by an entry, gives its Master one order after the other, and proposes what came of each. The log fences: an
 * entry of a Master of another epoch is refused, so a leader that does not know yet that it is none can spoil nothing. What the
 * Master itself does wrong pauses the job, with the reason; what its host or the node does wrong is tried again.
 */
import { FOLDS_AT_ONCE_MAX } from '../base/limits-masters.ts';
import type { Logger } from '../base/log.ts';
import type { Prng } from '../base/prng.ts';
import type { JobId, LogIndex } from '../base/types.ts';
import type { Command, JobView, Outcome, Table } from '../ranges/types.ts';
import type { Done, Result } from './api.ts';
import type { Clock, Executor, FoldEnding } from './env.ts';
import { backlogOf, Folding, mayFold } from './folding.ts';

interface Watch {
  readonly job: JobId;
  /** Null where this leader has no Master of the type. */
  readonly folding: Folding | null;
  /** What is under way: another object for each, so that an answer to what was given up is known. An entry cannot be given up. */
  busy: { readonly giveUp: (() => void) | null } | null;
  lookAt: number;
}

export interface FoldDutyOptions {
  readonly table: Pick<Table, 'job'>;
  readonly clock: Clock;
  readonly prng: Prng;
  readonly executor: Pick<Executor, 'types' | 'fold'>;
  readonly log: Logger;
  readonly stamp: () => number;
  readonly propose: (command: Command, done: Done<Outcome>) => void;
}

export class FoldDuty {
  readonly #options: FoldDutyOptions;
  /** Of jobs that collect and are not finished. */
  readonly #watches = new Map<JobId, Watch>();
  #ordering = 0;

  constructor(options: FoldDutyOptions) {
    this.#options = options;
  }

  /** Takes notice of a job and of what became of it. */
  follow(job: JobView): void {
    const { spec, state } = job;
    if (!spec.collects) return;
    const watch = this.#watches.get(spec.id);
    if (state !== 'pending' && !mayFold(job)) {
      // One that is resumed goes on with the same Master; one that is tried again is another run under the same leader.
      if (watch !== undefined) this.#giveUp(watch);
      if (state === 'done' || state === 'cancelled') this.#watches.delete(spec.id);
      return;
    }
    if (watch !== undefined) return this.moved(spec.id);
    const type = this.#options.executor.types.find(({ name }) => name === spec.name);
    const folding = type?.collects ? new Folding(type.collects, this.#options.prng) : null;
    this.#watches.set(spec.id, { job: spec.id, folding, busy: null, lookAt: 0 });
  }

  /** Something of a job changed. */
  moved(job: JobId): void {
    const watch = this.#watches.get(job);
    if (watch !== undefined) watch.lookAt = 0;
  }

  forget(job: JobId): void {
    const watch = this.#watches.get(job);
    if (watch !== undefined) this.#giveUp(watch);
    this.#watches.delete(job);
  }

  /** Why a job does not get on, as far as its Master is the reason; null otherwise. */
  holdOf(id: JobId): string | null {
    const [watch, job] = [this.#watches.get(id), this.#options.table.job(id)];
    if (watch === undefined || job === undefined) return null;
    if (watch.folding === null) return `the leader has no Master of the job type "${job.spec.name}" that collects`;
    return watch.folding.trouble ?? watch.folding.backlog(job);
  }

  /** Whether the Master of a job has so much to take in that nothing new of it is to be granted. */
  isBehind(job: JobView): boolean {
    const folding = this.#watches.get(job.spec.id)?.folding ?? null;
    return (folding === null ? backlogOf(job, null) : folding.backlog(job)) !== null;
  }

  tick(): void {
    if (this.#watches.size === 0) return;
    const now = this.#options.clock.now();
    for (const watch of this.#watches.values()) {
      if (watch.busy === null && watch.folding !== null && now >= watch.lookAt) this.#look(watch, watch.folding, now);
    }
  }

  close(): void {
    for (const watch of this.#watches.values()) this.#giveUp(watch);
    this.#watches.clear();
  }

  // ---- inside ----

  #look(watch: Watch, folding: Folding, now: number): void {
    const job = this.#options.table.job(watch.job);
    if (job === undefined) return;
    const move = folding.next(job, now);
    switch (move.kind) {
      case 'rest':
        watch.lookAt = move.until;
        return;
      case 'take':
        return this.#take(watch, folding);
      case 'order':
        if (this.#ordering >= FOLDS_AT_ONCE_MAX) return;
        // Behind the others, so that none is forgotten over the limit.
        this.#watches.delete(watch.job);
        this.#watches.set(watch.job, watch);
        return this.#order(watch, folding, { job, ...move });
    }
  }

  #take(watch: Watch, folding: Folding): void {
    const { stamp } = this.#options;
    this.#propose(watch, folding, { kind: 'take-master', at: stamp(), job: watch.job }, (outcome) => {
      if (outcome.kind === 'taken') folding.taken(outcome.epoch);
    });
  }

  #order(
    watch: Watch,
    folding: Folding,
    { job, epoch, outputs }: { job: JobView; epoch: LogIndex; outputs: JobView['outputs'] | null },
  ): void {
    const { executor } = this.#options;
    const { id, name, metadata, options } = job.spec;
    const order = {
      job: id,
      name,
      metadata,
      memoryMb: options.memoryMb,
      epoch,
      state: job.master?.state ?? null,
      outputs,
    };
    this.#ordering++;
    let ended = false;
    const end = () => {
      if (!ended) this.#ordering--;
      ended = true;
    };
    const giveUp = executor.fold(order, (ending) => {
      end();
      if (watch.busy !== busy) return;
      watch.busy = null;
      this.#ended(watch, folding, { ending, epoch, starts: (outputs ?? []).map(({ start }) => start) });
    });
    const busy = {
      giveUp: () => {
        end();
        giveUp();
      },
    };
    watch.busy = busy;
  }

  #ended(
    watch: Watch,
    folding: Folding,
    { ending, epoch, starts }: { ending: FoldEnding; epoch: LogIndex; starts: readonly number[] },
  ): void {
    const { job } = watch;
    const at = this.#options.stamp();
    switch (ending.kind) {
      case 'folded': {
        const { state, stamp } = ending;
        const command = { kind: 'fold', at, job, epoch, outputs: starts, state, stamp } as const;
        return this.#propose(watch, folding, command, () => folding.folded(this.#options.clock.now()));
      }
      case 'finished': {
        const { result, stamp } = ending;
        const command = { kind: 'finish-master', at, job, epoch, result, stamp } as const;
        return this.#propose(watch, folding, command, () => {});
      }
      case 'failed':
        return this.#failed(watch, folding, epoch, ending);
    }
  }

  #failed(watch: Watch, folding: Folding, epoch: LogIndex, ending: Extract<FoldEnding, { kind: 'failed' }>): void {
    const { culprit, error } = ending;
    const { log, clock, stamp } = this.#options;
    const { job } = watch;
    log.warn({ job, culprit, why: error }, 'fold-failed');
    watch.lookAt = 0;
    if (folding.failed(ending, clock.now())) return;
    this.#propose(watch, folding, { kind: 'master-failed', at: stamp(), job, epoch, error }, () => {});
  }

  /** `done` hears of what was carried out. */
  #propose(watch: Watch, folding: Folding, command: Command, done: (outcome: Outcome) => void): void {
    const { propose, log, clock } = this.#options;
    watch.busy = { giveUp: null };
    propose(command, (result) => {
      watch.busy = null;
      watch.lookAt = 0;
      const error = refusalOf(result);
      if (result.ok && error === null) return done(result.value);
      log.warn({ job: watch.job, command: command.kind, why: error }, 'fold-refused');
      folding.failed({ culprit: 'node', error: error ?? '' }, clock.now());
    });
  }

  #giveUp(watch: Watch): void {
    watch.lookAt = 0;
    if (watch.busy?.giveUp == null) return;
    watch.busy.giveUp();
    watch.busy = null;
  }
}

function refusalOf(result: Result<Outcome>): string | null {
  if (!result.ok) return result.error.message;
  return result.value.kind === 'refused' ? result.value.detail : null;
}
