/**
 * Notices: tells whoever asked for it (`onDone`) that a run of a job has ended.
 *
 * The table says which runs nobody was told of yet; the leader POSTs, and once somebody has taken the notice, or nobody
 * did for very long, one command strikes it off. A leader that is lost between the two tells again: at least once, and
 * always under the same Idempotency-Key, `<job>/<run>`, so that the receiver can count to one.
 */
import { NOTICE_ATTEMPTS_MAX, NOTICE_RETRY_MS_MAX, NOTICE_RETRY_MS_MIN, NOTICES_ASKING_MAX } from '../base/limits.ts';
import type { Logger } from '../base/log.ts';
import type { Prng } from '../base/prng.ts';
import type { JobId } from '../base/types.ts';
import type { Command, JobView, Outcome, Table } from '../ranges/types.ts';
import type { Done } from './api.ts';
import type { Clock } from './env.ts';
import type { Probe, ProbeAnswer } from './probe.ts';

interface Notice {
  readonly job: JobId;
  readonly run: number;
  tries: number;
  /** Whether it was taken; null while that is open. */
  taken: boolean | null;
  tryAt: number;
  /** A request or the command is under way. */
  busy: boolean;
}

export interface NoticesOptions {
  readonly table: Pick<Table, 'job'>;
  readonly clock: Clock;
  readonly prng: Prng;
  readonly probe: Probe;
  readonly log: Logger;
  readonly stamp: () => number;
  readonly propose: (command: Command, done: Done<Outcome>) => void;
}

export class Notices {
  readonly #options: NoticesOptions;
  readonly #notices = new Map<JobId, Notice>();
  #asking = 0;

  constructor(options: NoticesOptions) {
    this.#options = options;
  }

  /** Takes notice of a job and of what became of it. */
  follow({ spec, notify }: JobView): void {
    if (notify === null) {
      this.#notices.delete(spec.id);
      return;
    }
    if (this.#notices.get(spec.id)?.run === notify.run) return;
    this.#notices.set(spec.id, { job: spec.id, run: notify.run, tries: 0, taken: null, tryAt: 0, busy: false });
  }

  forget(job: JobId): void {
    this.#notices.delete(job);
  }

  tick(): void {
    if (this.#notices.size === 0) return;
    const now = this.#options.clock.now();
    for (const notice of this.#notices.values()) {
      if (notice.busy || now < notice.tryAt) continue;
      if (notice.taken !== null) this.#strikeOff(notice, notice.taken);
      else if (this.#asking < NOTICES_ASKING_MAX) this.#tell(notice);
    }
  }

  close(): void {
    this.#notices.clear();
  }

  #tell(notice: Notice): void {
    const { table, probe } = this.#options;
    const job = table.job(notice.job);
    if (job === undefined || job.spec.options.onDone === null) {
      this.#notices.delete(notice.job);
      return;
    }
    notice.busy = true;
    this.#asking++;
    const key = `${notice.job}/${notice.run}`;
    const headers = { 'content-type': 'application/json', 'idempotency-key': key };
    const body = JSON.stringify(bodyOf(job, notice.run));
    probe.fetch({ method: 'POST', url: job.spec.options.onDone, headers, body }, (answer) => {
      this.#asking--;
      notice.busy = false;
      if (this.#notices.get(notice.job) === notice) this.#answered(notice, answer);
    });
  }

  #answered(notice: Notice, answer: ProbeAnswer): void {
    const { job, run } = notice;
    notice.tries++;
    if (answer.kind === 'answered' && answer.status >= 200 && answer.status <= 299) {
      return this.#strikeOff(notice, true);
    }
    const why = answer.kind === 'answered' ? `it answered ${answer.status}` : answer.why;
    this.#options.log.warn({ job, run, tries: notice.tries, why }, 'notice-not-taken');
    if (notice.tries >= NOTICE_ATTEMPTS_MAX) return this.#strikeOff(notice, false);
    this.#wait(notice);
  }

  /** Never given up: a notice that the log cannot strike off is told by the next leader at the latest. */
  #strikeOff(notice: Notice, taken: boolean): void {
    const { propose, stamp } = this.#options;
    const { job: id, run } = notice;
    notice.taken = taken;
    notice.busy = true;
    propose({ kind: 'job-notified', at: stamp(), id, run, ok: taken }, (result) => {
      notice.busy = false;
      if (result.ok) {
        if (this.#notices.get(id) === notice) this.#notices.delete(id);
      } else this.#wait(notice);
    });
  }

  #wait(notice: Notice): void {
    const full = Math.min(NOTICE_RETRY_MS_MAX, NOTICE_RETRY_MS_MIN * 2 ** Math.max(0, notice.tries - 1));
    notice.tryAt = this.#options.clock.now() + full / 2 + (this.#options.prng.next() * full) / 2;
  }
}

function bodyOf(job: JobView, run: number): object {
  const { id, name, start, end } = job.spec;
  const progress = {
    total: end - start,
    done: job.coveredPoints,
    failed: job.failedPoints,
    uncertain: job.uncertainPoints,
    reexecuted: job.reexecutedPoints,
  };
  return { job: id, name, run, state: job.state, progress };
}
