/**
 * Oracle: what clients were told, held against what was committed.
 *
 * Checked: an acknowledged submit or control is committed, and visible from then on · a refusal that says "nothing was
 * changed" is true for ever · a linearizable read shows everything that was committed before it began, so reads never go
 * backwards · a job that nobody asked for does not exist.
 */
import type { JobId, LogIndex } from '../../src/base/types.ts';
import type { JobSpec, JobState } from '../../src/ranges/types.ts';
import type { AppliedCommand, Auditor } from './auditor.ts';
import { expectThat } from './violation.ts';

export type Action = 'pause' | 'resume' | 'retry' | 'cancel' | 'set';

/** How an operation ended for its client. 'refused': certainly nothing was changed. */
export type Ending = 'acknowledged' | 'refused' | 'unknown';

export interface SubmitAttempt {
  readonly spec: JobSpec;
  ending: Ending | 'pending';
}

/** What was so when a read began, and must show in it. */
export interface ReadFloor {
  readonly appliedIndex: LogIndex;
  readonly coveredPoints: number;
  readonly acknowledged: boolean;
  /** How often the job was set back by then. */
  readonly retries: number;
}

export interface ReadResult {
  readonly appliedIndex: LogIndex;
  readonly state: JobState | null;
  readonly coveredPoints: number;
}

interface ControlApplied {
  readonly at: number;
  readonly id: JobId;
  readonly action: Action;
}

export class Oracle {
  readonly #auditor: Auditor;
  readonly #attempts = new Map<JobId, SubmitAttempt[]>();
  readonly #submitted = new Map<JobId, JobSpec>();
  readonly #acknowledged = new Set<JobId>();
  readonly #cancelled = new Set<JobId>();
  readonly #controls: ControlApplied[] = [];
  readonly #seenPoints = new Map<JobId, number>();
  readonly #retries = new Map<JobId, number>();

  constructor(auditor: Auditor) {
    this.#auditor = auditor;
    auditor.onApplied((applied) => this.#applied(applied));
  }

  /** Specs of all jobs that any client ever asked for, in the order of asking. */
  get specs(): readonly JobSpec[] {
    return [...this.#attempts.values()].flatMap((attempts) => attempts.slice(0, 1).map((attempt) => attempt.spec));
  }

  get acknowledgedJobs(): readonly JobId[] {
    return [...this.#acknowledged];
  }

  /** A client begins a linearizable read. */
  floor(id: JobId): ReadFloor {
    return {
      appliedIndex: this.#auditor.table.appliedIndex,
      coveredPoints: this.#seenPoints.get(id) ?? 0,
      acknowledged: this.#acknowledged.has(id),
      retries: this.#retries.get(id) ?? 0,
    };
  }

  submits(spec: JobSpec): SubmitAttempt {
    const attempt: SubmitAttempt = { spec, ending: 'pending' };
    const attempts = this.#attempts.get(spec.id);
    if (attempts === undefined) this.#attempts.set(spec.id, [attempt]);
    else attempts.push(attempt);
    return attempt;
  }

  submitted(attempt: SubmitAttempt, ending: Ending): void {
    attempt.ending = ending;
    const { id } = attempt.spec;
    const committed = this.#submitted.get(id);
    if (ending === 'acknowledged') {
      this.#acknowledged.add(id);
      const kept = JSON.stringify(committed) === JSON.stringify(attempt.spec);
      expectThat(kept, () => `job ${id} was acknowledged and is not committed as it was asked for`);
    }
    if (ending === 'refused') this.#mayExist(id);
  }

  controlled(id: JobId, action: Action, startedAt: number): void {
    if (action === 'cancel') this.#cancelled.add(id);
    const committed = this.#controls.some((one) => one.id === id && one.action === action && one.at >= startedAt);
    expectThat(committed, () => `${action} of job ${id} was acknowledged and is not committed`);
  }

  read(id: JobId, floor: ReadFloor, result: ReadResult): void {
    const { appliedIndex, state, coveredPoints } = result;
    const fresh = appliedIndex >= floor.appliedIndex;
    expectThat(
      fresh,
      () => `stale read: index ${appliedIndex}, and ${floor.appliedIndex} was committed before it began`,
    );
    expectThat(state !== null || !floor.acknowledged, () => `lost write: job ${id} was acknowledged and is not read`);
    expectThat(state === null || this.#submitted.has(id), () => `phantom: job ${id} was never committed`);
    const isRetried = (this.#retries.get(id) ?? 0) > floor.retries;
    const forward = isRetried || coveredPoints >= floor.coveredPoints;
    expectThat(forward, () => `a read of job ${id} went back from ${floor.coveredPoints} points to ${coveredPoints}`);
    if (!isRetried) this.#seenPoints.set(id, Math.max(coveredPoints, this.#seenPoints.get(id) ?? 0));
  }

  /** At the end: nothing acknowledged is lost. */
  checkAll(): void {
    for (const id of this.#acknowledged) {
      expectThat(this.#auditor.table.job(id) !== undefined, () => `lost write: job ${id} was acknowledged and is gone`);
    }
    for (const id of this.#cancelled) {
      const job = this.#auditor.table.job(id);
      // Where all that was left had been claimed, nothing is left to be cancelled: it is over, and partly uncertain.
      const isOver = job?.state === 'done' && job.uncertainPoints > 0;
      expectThat(
        isOver || job?.state === 'cancelled',
        () => `lost write: job ${id} was cancelled and is ${job?.state}`,
      );
    }
  }

  #applied({ at, command, outcome, events }: AppliedCommand): void {
    if (command?.kind === 'control-job' && outcome.kind === 'ok') {
      this.#controls.push({ at, id: command.id, action: command.action });
    }
    if (command?.kind === 'set-job' && outcome.kind === 'ok') {
      this.#controls.push({ at, id: command.id, action: 'set' });
    }
    if (command?.kind === 'retry-job' && outcome.kind === 'ok') {
      this.#controls.push({ at, id: command.id, action: 'retry' });
      // Uncertain points were covered, and are not any more.
      this.#seenPoints.delete(command.id);
      this.#retries.set(command.id, (this.#retries.get(command.id) ?? 0) + 1);
    }
    if (command?.kind !== 'submit-job') return;
    for (const event of events) {
      if (event.kind !== 'job-submitted') continue;
      this.#submitted.set(event.job, command.spec);
      this.#mayExist(event.job);
    }
  }

  /** A committed job has a submit behind it that was not refused. */
  #mayExist(id: JobId): void {
    if (!this.#submitted.has(id)) return;
    const attempts = this.#attempts.get(id) ?? [];
    const asked = attempts.some((attempt) => attempt.ending !== 'refused');
    expectThat(asked, () => `job ${id} is committed, and every submit of it was told that nothing was changed`);
  }
}
