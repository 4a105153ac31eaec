/**
 * Outside: the world beyond the cluster, as the probe of each node meets it. Hooks that say go for a while and hold for a
 * while, and answer late, in errors, or not at all; receivers of notices that take them, refuse them, or take them and
 * are not heard.
 *
 * What a hook is taken to have said is noted when the node hears it, since a node can act on nothing sooner.
 *
 * Invariants: each question is answered once, by a node that lives that long · from `heal` on all hooks say go, and every
 * notice is taken.
 */

import { OUTSIDE_WAIT_MS } from '../../src/base/limits-masters.ts';
import type { Prng } from '../../src/base/prng.ts';
import type { JobId, Term } from '../../src/base/types.ts';
import type { Probe, ProbeAnswer, ProbeDone, ProbeRequest } from '../../src/daemon/probe.ts';
import type { Throttle } from '../../src/ranges/types.ts';
import type { Process } from './process.ts';
import type { Scheduler } from './scheduler.ts';
import type { Trace } from './trace.ts';

/** The last thing that one life of a node heard of a hook. */
export interface Word {
  readonly says: 'go' | 'hold';
  /** Of the node when it asked. */
  readonly term: Term | null;
  readonly heardAt: number;
  readonly sequence: number;
}

/** A notice as it arrived. */
export interface Notice {
  readonly job: JobId;
  readonly run: number;
  readonly key: string;
  readonly taken: boolean;
}

export interface OutsideOptions {
  readonly scheduler: Scheduler;
  readonly prng: Prng;
  readonly trace: Trace;
  readonly check: (run: () => void) => void;
  readonly noticed: (notice: Notice) => void;
}

/** What a hook says, and for how long yet. */
interface Mood {
  says: 'go' | 'hold';
  until: number;
}

const ANSWER_MS_MAX = 500;
const GO_MS_MAX = 8_000;
const HOLD_MS_MAX = 5_000;
const UNREACHABLE_CHANCE = 0.06;
const TIMEOUT_CHANCE = 0.04;
const REFUSES_CHANCE = 0.2;
const UNHEARD_CHANCE = 0.2;
const HOLD_ABOVE = 10;
const JOB_IN_URL = /[0-9a-f-]{36}/;

/** A hook of every kind answers here, by the id of its job. */
export function hookFor(kind: Throttle['kind'], job: JobId, intervalMs: number): Throttle {
  switch (kind) {
    case 'command':
      return { kind, command: ['may-i'], intervalMs };
    case 'url':
      return { kind, url: `http://hooks.test/${job}`, intervalMs };
    case 'prometheus':
      return { kind, url: `http://prometheus.test/${job}`, query: 'load', holdAbove: HOLD_ABOVE, intervalMs };
  }
}

export class Outside {
  readonly #options: OutsideOptions;
  readonly #moods = new Map<JobId, Mood>();
  readonly #words = new Map<string, Word>();
  readonly #taken = new Set<string>();
  #sequence = 0;
  #isWell = false;

  constructor(options: OutsideOptions) {
    this.#options = options;
  }

  /** What a node reaches through its Env. `term` is asked at each question. */
  probe(process: Process, term: () => Term | null): Probe {
    return {
      run: (_command, environment, done) => {
        const job = environment['POLARIS_JOB'] ?? '';
        this.#ask(process, job, term(), done, (isGo) => ({ status: isGo ? 0 : 1, text: isGo ? '' : 'not now' }));
      },
      fetch: (request, done) => {
        const job = JOB_IN_URL.exec(request.url)?.[0] ?? '';
        if (request.method === 'POST') return this.#take(process, request, done);
        const isQuery = request.url.startsWith('http://prometheus.test/');
        this.#ask(process, job, term(), done, isQuery ? prometheusAnswer : urlAnswer);
      },
    };
  }

  heal(): void {
    this.#isWell = true;
  }

  /** What this life of a node heard last of the hook of a job; null when it heard nothing. */
  word(process: Process, job: JobId): Word | null {
    return this.#words.get(nameOf(process, job)) ?? null;
  }

  /** Whether some receiver said that it has the notice. */
  hasTaken(job: JobId, run: number): boolean {
    return this.#taken.has(`${job}/${run}`);
  }

  #ask(
    process: Process,
    job: JobId,
    term: Term | null,
    done: ProbeDone,
    speak: (isGo: boolean) => { readonly status: number; readonly text: string },
  ): void {
    const { scheduler, prng, trace } = this.#options;
    this.#sequence += 1;
    const sequence = this.#sequence;
    const isGo = this.#mood(job) === 'go';
    const trouble = this.#isWell ? 1 : prng.next();
    const isMute = trouble < UNREACHABLE_CHANCE;
    const isSlow = !isMute && trouble < UNREACHABLE_CHANCE + TIMEOUT_CHANCE;
    const delay = isSlow ? OUTSIDE_WAIT_MS : prng.next() * ANSWER_MS_MAX;
    scheduler.after(delay, () => {
      process.turn('input', () => {
        const says = isGo && !isMute && !isSlow ? 'go' : 'hold';
        const why = isMute ? 'cannot be reached' : isSlow ? 'times out' : `says ${says}`;
        trace.count(`a hook ${why}`);
        trace.note(scheduler.now, process.id, () => `the hook of ${job} ${why}`);
        const name = nameOf(process, job);
        // A question that was overtaken by a later one is about a state of the job that is over.
        if (sequence > (this.#words.get(name)?.sequence ?? 0)) {
          this.#words.set(name, { says, term, heardAt: scheduler.now, sequence });
        }
        done(isMute || isSlow ? { kind: 'unreachable', why } : { kind: 'answered', ...speak(isGo) });
      });
    });
  }

  #mood(job: JobId): 'go' | 'hold' {
    const { scheduler, prng } = this.#options;
    if (this.#isWell) return 'go';
    const mood = this.#moods.get(job) ?? { says: prng.chance(0.5) ? 'go' : 'hold', until: 0 };
    this.#moods.set(job, mood);
    if (scheduler.now >= mood.until) {
      mood.says = mood.says === 'go' ? 'hold' : 'go';
      mood.until = scheduler.now + prng.next() * (mood.says === 'go' ? GO_MS_MAX : HOLD_MS_MAX);
    }
    return mood.says;
  }

  #take(process: Process, { headers, body }: ProbeRequest, done: ProbeDone): void {
    const { scheduler, prng, check } = this.#options;
    const lot = this.#isWell ? 1 : prng.next();
    const refuses = lot < REFUSES_CHANCE;
    const isUnheard = !refuses && lot < REFUSES_CHANCE + UNHEARD_CHANCE;
    const said: { readonly job: JobId; readonly run: number } = JSON.parse(body ?? '{}');
    const notice = { job: said.job, run: said.run, key: headers['idempotency-key'] ?? '', taken: !refuses };
    const answer: ProbeAnswer = isUnheard
      ? { kind: 'unreachable', why: 'the answer is lost' }
      : { kind: 'answered', status: refuses ? 503 : 200, text: '' };
    const arrives = prng.next() * ANSWER_MS_MAX;
    scheduler.after(arrives, () => check(() => this.#noticed(notice, isUnheard)));
    scheduler.after(arrives + prng.next() * ANSWER_MS_MAX, () => process.turn('input', () => done(answer)));
  }

  #noticed(notice: Notice, isUnheard: boolean): void {
    const { trace, noticed } = this.#options;
    trace.count(`notice ${notice.taken ? (isUnheard ? 'taken unheard' : 'taken') : 'refused'}`);
    const name = `${notice.job}/${notice.run}`;
    if (notice.taken && this.#taken.has(name)) trace.count('notice taken twice');
    if (notice.taken) this.#taken.add(name);
    noticed(notice);
  }
}

function nameOf(process: Process, job: JobId): string {
  return `${process.id}/${process.life}/${job}`;
}

function urlAnswer(isGo: boolean): { readonly status: number; readonly text: string } {
  return { status: isGo ? 204 : 503, text: isGo ? '' : 'busy' };
}

function prometheusAnswer(isGo: boolean): { readonly status: number; readonly text: string } {
  const value = String(isGo ? HOLD_ABOVE : HOLD_ABOVE + 1);
  const data = { resultType: 'vector', result: [{ metric: {}, value: [0, value] }] };
  return { status: 200, text: JSON.stringify({ status: 'success', data }) };
}
