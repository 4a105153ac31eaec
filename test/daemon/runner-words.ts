/**
 * What a runner says at the counter of an office, and what it is answered.
 */
import { expect } from 'vitest';
import { must } from '../../src/base/assert.ts';
import { runnerId } from '../../src/base/runner-id.ts';
import type { Result } from '../../src/daemon/api.ts';
import type { RunnerAnswer, RunnerClaim, RunnerReport, RunnerRequest } from '../../src/daemon/runner-api.ts';
import { MAIL } from '../ranges/fixtures.ts';
import type { Office } from './office.ts';

export const WHO = runnerId('py');

/** A question, and what came of it. */
export interface Question {
  result: Result<RunnerAnswer> | null;
  takeBack: () => void;
}

export function answerOf({ result }: Question): RunnerAnswer {
  if (result === null || !result.ok) throw new Error(`no answer: ${JSON.stringify(result)}`);
  return result.value;
}

export function codeOf({ result }: Question): string | null {
  return result === null || result.ok ? null : result.error.code;
}

/** The words of runners, for whichever office it is at the time. */
export function wordsFor(office: () => Office) {
  function ask(request: RunnerRequest): Question {
    const question: Question = { result: null, takeBack: () => {} };
    question.takeBack = office().leader.runners.ask(request, (result) => {
      expect(question.result).toBeNull();
      question.result = result;
    });
    return question;
  }
  function join({ worker = WHO, slots = 1, replaces = null as number | null } = {}): number {
    const instanceId = `i-${worker}`;
    const question = ask({
      ...{ kind: 'join', worker, instanceId, slots, replaces },
      offers: [{ name: MAIL, hash: '' }],
    });
    office().run();
    return answerOf(question).session;
  }
  function claim(session: number, changes: Partial<RunnerClaim> = {}): Question {
    const { worker = WHO } = changes;
    const base = { kind: 'claim', worker, instanceId: `i-${worker}`, session, epochs: [], draining: false } as const;
    return ask({ ...base, tasksMax: 9, waitMs: 60_000, ...changes });
  }
  function report(session: number, epoch: number, changes: Partial<RunnerReport> = {}): Question {
    const { worker = WHO } = changes;
    const base = { kind: 'report', worker, instanceId: `i-${worker}`, session, epoch, draining: false } as const;
    const position = { cursor: 0, begun: null, claimed: null, keep: null };
    const unsaid = { epochs: null, ...position, ending: null, error: '', outputs: [] };
    return ask({ ...base, ...unsaid, ...changes });
  }
  /** Takes the first task of the job. */
  function work(session: number, changes: Partial<RunnerClaim> = {}): RunnerAnswer['orders'][number] {
    const waiting = claim(session, changes);
    office().run();
    return must(answerOf(waiting).orders[0], 'there is work');
  }

  return { ask, join, claim, report, work };
}
