/**
 * Notices: tells that a run of a job has ended: first its Master, where its type has one, then whoever asked (`onDone`).
 *
 * The table says which runs are still to be told of; the leader calls and POSTs, and once both have taken the notice, one
 * command strikes it off. Until then it goes on, ever more seldom, as long as the table keeps the job. A leader that is
 * lost tells again: at least once, and always under the same key, `<job>/<run>`, so that the receiver can count to one.
 */
import { must } from '../base/assert.ts';
import {
  NOTICE_RETRY_MS_MAX,
  NOTICE_RETRY_MS_MIN,
  NOTICE_TURNS_AFTER,
  NOTICES_AGAIN_MAX,
  NOTICES_ASKING_MAX,
} from '../base/limits-masters.ts';
import type { Logger } from '../base/log.ts';
import type { Prng } from '../base/prng.ts';
import type { JobId } from '../base/types.ts';
import type { Command, JobView, Outcome, Table } from '../ranges/types.ts';
import type { Done } from './api.ts';
import type { Clock, Executor, JobReport } from './env.ts';
import { isOverseenBy, masterCall, reportOf } from './job-report.ts';
import type { Probe, ProbeAnswer } from './probe.ts';

interface Notice {
  readonly job: JobId;
  readonly run: number;
  /** Who has not taken it yet, and who is next first; empty when it is to be struck off. */
  readonly left: ('master' | 'webhook')[];
  /** Times that it was not taken. */
  tries: number;
  tryAt: number;
  /** A request or the command is under way. */
  busy: boolean;
}

export interface NoticesOptions {
  readonly table: Pick<Table, 'job'>;
  readonly clock: Clock;
  readonly prng: Prng;
  readonly probe: Probe;
  readonly executor: Pick<Executor, 'types' | 'oversee'>;
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
  follow({ spec, untold: [first] }: JobView): void {
    if (first === undefined) {
      this.#notices.delete(spec.id);
      return;
    }
    if (this.#notices.get(spec.id)?.run === first.run) return;
    const left: Notice['left'] = spec.overseen ? ['master'] : [];
    if (spec.options.onDone !== null) left.push('webhook');
    this.#notices.set(spec.id, { job: spec.id, run: first.run, left, tries: 0, tryAt: 0, busy: false });
  }

  /** The job has left the table: who was not told of its end by now never is. */
  forget(job: JobId): void {
    const notice = this.#notices.get(job);
    if (notice === undefined) return;
    this.#notices.delete(job);
    const { run, left, tries } = notice;
    if (left.length > 0) this.#options.log.warn({ job, run, left, tries }, 'notice-lost');
  }

  tick(): void {
    if (this.#notices.size === 0) return;
    const now = this.#options.clock.now();
    for (const notice of this.#notices.values()) {
      if (notice.busy || now < notice.tryAt) continue;
      const askingMax = notice.tries === 0 ? NOTICES_ASKING_MAX : NOTICES_AGAIN_MAX;
      if (notice.left.length === 0) this.#strikeOff(notice);
      else if (this.#asking < askingMax) this.#tell(notice);
    }
  }

  close(): void {
    this.#notices.clear();
  }

  #tell(notice: Notice): void {
    const job = this.#options.table.job(notice.job);
    const end = job?.untold[0];
    if (job === undefined || end?.run !== notice.run) {
      this.#notices.delete(notice.job);
      return;
    }
    // Behind all others: where not all can be told at a time, each has its turn.
    this.#notices.delete(notice.job);
    this.#notices.set(notice.job, notice);
    const report = reportOf(job, end);
    notice.busy = true;
    this.#asking++;
    const heard = (refusal: string | null) => {
      this.#asking--;
      notice.busy = false;
      if (this.#notices.get(notice.job) === notice) this.#heard(notice, refusal);
    };
    if (notice.left[0] === 'master') this.#tellMaster(job, report, heard);
    else this.#post(job, report, heard);
  }

  /** `heard` is called with null, or with why it was not taken. */
  #tellMaster(job: JobView, report: JobReport, heard: (refusal: string | null) => void): void {
    const { executor } = this.#options;
    if (isOverseenBy(executor, job.spec.name)) executor.oversee(masterCall('complete', job, report), heard);
    else heard(`the leader has no Master of the job type "${job.spec.name}"`);
  }

  #post({ spec }: JobView, report: JobReport, heard: (refusal: string | null) => void): void {
    const headers = { 'content-type': 'application/json', 'idempotency-key': `${spec.id}/${report.run}` };
    const body = JSON.stringify(report);
    const url = must(spec.options.onDone, 'who has no Master has asked to be told');
    this.#options.probe.fetch({ method: 'POST', url, headers, body }, (answer) => heard(refusalOf(answer)));
  }

  #heard(notice: Notice, refusal: string | null): void {
    const { job, run, left } = notice;
    const asked = must(left.shift(), 'somebody was asked');
    if (refusal === null) {
      notice.tries = 0;
      if (left.length === 0) this.#strikeOff(notice);
      return;
    }
    notice.tries++;
    this.#options.log.warn({ job, run, to: asked, tries: notice.tries, why: refusal }, 'notice-not-taken');
    if (notice.tries < NOTICE_TURNS_AFTER) left.unshift(asked);
    else left.push(asked);
    this.#wait(notice);
  }

  /** A notice that the log cannot strike off is told by the next leader at the latest. */
  #strikeOff(notice: Notice): void {
    const { propose, stamp, log } = this.#options;
    const { job: id, run } = notice;
    notice.busy = true;
    propose({ kind: 'job-notified', at: stamp(), id, run }, (result) => {
      notice.busy = false;
      if (!result.ok) return this.#wait(notice);
      log.info({ job: id, run }, 'notice-taken');
      if (this.#notices.get(id) === notice) this.#notices.delete(id);
      // The end of a later run may have waited behind it.
      const job = this.#options.table.job(id);
      if (job !== undefined) this.follow(job);
    });
  }

  #wait(notice: Notice): void {
    const full = Math.min(NOTICE_RETRY_MS_MAX, NOTICE_RETRY_MS_MIN * 2 ** Math.max(0, notice.tries - 1));
    notice.tryAt = this.#options.clock.now() + full / 2 + (this.#options.prng.next() * full) / 2;
  }
}

function refusalOf(answer: ProbeAnswer): string | null {
  if (answer.kind === 'unreachable') return answer.why;
  return answer.status >= 200 && answer.status <= 299 ? null : `it answered ${answer.status}`;
}
