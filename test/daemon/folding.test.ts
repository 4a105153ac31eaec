import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { unreachable } from '../../src/base/assert.ts';
import {
  FOLD_BACKLOG_MAX,
  FOLD_BYTES_MAX,
  FOLD_DEATHS_MAX,
  FOLD_INTERVAL_MS,
  FOLD_OUTPUTS_MAX,
  FOLD_RETRY_MS_MAX,
} from '../../src/base/limits-masters.ts';
import { createPrng } from '../../src/base/prng.ts';
import { backlogOf, type FoldedJob, Folding } from '../../src/daemon/folding.ts';
import { TOO_MANY_OUTPUTS } from '../../src/ranges/outputs.ts';
import { jobId, specOf } from '../ranges/fixtures.ts';
import { Court } from './court.ts';

const RESTS = { kind: 'rest', until: Number.POSITIVE_INFINITY };

/** A job of 10,000 points with outputs of one point each. */
function jobWith(starts: readonly number[], changes: Partial<FoldedJob> = {}, bytes = 1): FoldedJob {
  const handle = { hash: '0'.repeat(64), bytes, rows: 1, schema: '0'.repeat(16) };
  return {
    spec: specOf({ end: 10_000, collects: true }),
    state: 'running',
    reason: null,
    covered: [{ start: 0, end: 5_000 }],
    coveredPoints: 5_000,
    failed: [],
    outputs: starts.map((start) => ({ start, end: start + 1, handle })),
    master: { epoch: 9, state: null, folded: 0 },
    ...changes,
  };
}

function takenBy(collecting: 'in-order' | 'as-committed' = 'as-committed'): Folding {
  const folding = new Folding(collecting, createPrng(1));
  folding.taken(9);
  return folding;
}

/** Where the outputs of the next order begin. */
function ordered(folding: Folding, job: FoldedJob, now = 0): readonly number[] | null {
  const move = folding.next(job, now);
  if (move.kind !== 'order') throw new Error(`it should give an order, not ${move.kind}`);
  return move.outputs?.map(({ start }) => start) ?? null;
}

describe('what is folded next', () => {
  test('a job is taken when there is something to fold, and not before', () => {
    const folding = new Folding('as-committed', createPrng(1));
    expect(folding.next(jobWith([]), 0)).toEqual(RESTS);
    expect(folding.next(jobWith([3]), 0)).toEqual({ kind: 'take' });
  });

  test('one that waits or has ended is left alone, and so is one that another leader took', () => {
    const folding = takenBy();
    expect(folding.next(jobWith([3], { state: 'paused' }), 0)).toEqual(RESTS);
    expect(folding.next(jobWith([3], { state: 'failed' }), 0)).toEqual(RESTS);
    // That pause ends by folding.
    expect(ordered(folding, jobWith([3], { state: 'paused', reason: TOO_MANY_OUTPUTS }))).toEqual([3]);
    expect(folding.next(jobWith([3], { master: { epoch: 10, state: null, folded: 0 } }), 0)).toEqual(RESTS);
  });

  test('in order, only outputs in front of which every point is covered', () => {
    const covered = [
      { start: 0, end: 10 },
      { start: 20, end: 30 },
    ];
    const job = jobWith([3, 9, 25], { covered, coveredPoints: 20 });
    expect(ordered(takenBy('in-order'), job)).toEqual([3, 9]);
    expect(ordered(takenBy('as-committed'), job)).toEqual([3, 9, 25]);
    const late = jobWith([25], { covered: [{ start: 20, end: 30 }], coveredPoints: 10 });
    expect(takenBy('in-order').next(late, 0)).toEqual(RESTS);
  });

  test('so many outputs at a time, by count and by bytes, and one whatever its size', () => {
    const many = Array.from({ length: FOLD_OUTPUTS_MAX + 5 }, (_, start) => start);
    expect(ordered(takenBy(), jobWith(many))).toHaveLength(FOLD_OUTPUTS_MAX);
    expect(ordered(takenBy(), jobWith([1, 2, 3], {}, FOLD_BYTES_MAX / 2))).toEqual([1, 2]);
    expect(ordered(takenBy(), jobWith([1, 2, 3], {}, FOLD_BYTES_MAX + 1))).toEqual([1]);
  });

  test('a few outputs wait for more, unless there are no more', () => {
    const folding = takenBy();
    folding.folded(100);
    expect(folding.next(jobWith([3]), 200)).toEqual({ kind: 'rest', until: 100 + FOLD_INTERVAL_MS });
    expect(ordered(folding, jobWith([3]), 100 + FOLD_INTERVAL_MS)).toEqual([3]);
    expect(ordered(folding, jobWith([3], { coveredPoints: 10_000 }), 200)).toEqual([3]);
  });

  test('a job finishes when everything is covered and folded', () => {
    const whole = { covered: [{ start: 0, end: 10_000 }], coveredPoints: 10_000 };
    expect(ordered(takenBy(), jobWith([], whole))).toBeNull();
    expect(takenBy().next(jobWith([]), 0)).toEqual(RESTS);
  });

  describe('nothing new is granted while a Master is far behind', () => {
    const many = Array.from({ length: FOLD_BACKLOG_MAX }, (_, at) => 2_000 + at);
    const covered = [
      { start: 0, end: 1_000 },
      { start: 2_000, end: 5_000 },
    ];
    const failedAt = (start: number, end: number) => {
      return [{ start, end, error: 'it threw', attempts: 3, worker: 'w1', at: 1 }];
    };

    test.each(['in-order', 'as-committed', null] as const)('%s', (collecting) => {
      expect(backlogOf(jobWith(many), collecting)).toContain(`${FOLD_BACKLOG_MAX} outputs`);
      expect(backlogOf(jobWith(many.slice(1)), collecting)).toBeNull();
      expect(backlogOf(jobWith(many, { spec: specOf({ collects: false }) }), collecting)).toBeNull();
      // Points in front are at work, or will be.
      expect(backlogOf(jobWith(many, { covered }), collecting)).not.toBeNull();
      expect(backlogOf(jobWith(many, { covered, failed: failedAt(1_500, 2_000) }), collecting)).not.toBeNull();
    });

    test('but for what stands behind a failed point, which a Master in order cannot take in', () => {
      for (const failed of [failedAt(1_000, 2_000), failedAt(1_000, 1_001)]) {
        expect(backlogOf(jobWith(many, { covered, failed }), 'in-order')).toBeNull();
        expect(backlogOf(jobWith(many, { covered, failed }), 'as-committed')).not.toBeNull();
      }
      const first = { covered: [{ start: 1, end: 5_000 }], failed: failedAt(0, 1) };
      expect(backlogOf(jobWith(many, first), 'in-order')).toBeNull();
      // What stands in front of it can be taken in.
      const ready = many.map((start) => start - 2_000);
      const behind = { covered: [{ start: 0, end: 2_000 }], failed: failedAt(2_000, 2_001) };
      expect(backlogOf(jobWith(ready, behind), 'in-order')).toContain(`${FOLD_BACKLOG_MAX} outputs`);
    });
  });

  test('what the node or the host spoils is tried again, ever later; a host that always dies is not', () => {
    const folding = takenBy();
    for (let time = 0; time < 100; time++) expect(folding.failed({ culprit: 'node', error: 'away' }, 0)).toBe(true);
    expect(folding.trouble).toBe('away');
    const move = folding.next(jobWith([3]), 0);
    expect(move.kind === 'rest' && move.until > FOLD_RETRY_MS_MAX / 2 && move.until <= FOLD_RETRY_MS_MAX).toBe(true);
    folding.folded(0);
    const deaths = Array.from({ length: FOLD_DEATHS_MAX }, () => folding.failed({ culprit: 'host', error: 'dead' }, 0));
    expect(deaths).toEqual([...Array(FOLD_DEATHS_MAX - 1).fill(true), false]);
    expect(folding.failed({ culprit: 'master', error: 'it threw' }, 0)).toBe(false);
    // Whoever resumes the job begins at once.
    expect(ordered(folding, jobWith([3]), FOLD_INTERVAL_MS)).toEqual([3]);
  });
});

/** Where outputs begin: every third point emits nothing. */
function emitted(points: number): number[] {
  return Array.from({ length: points }, (_, point) => point).filter((point) => point % 3 !== 2);
}

/** One turn of a log in which everything goes well, point after point. */
function stepOf(court: Court, step: number): void {
  if (step < court.points) court.cover((step * 7) % court.points);
  court.tick(FOLD_INTERVAL_MS / 3);
  if (court.orders.length > 0 && step % 2 === 0) court.answer();
  if (court.proposed.length > 0 && step % 2 === 1) court.commit();
}

describe('what is folded in the end', () => {
  test.each(['in-order', 'as-committed'] as const)('%s: every output once, whenever the leader falls', (collecting) => {
    const points = 14;
    for (let fall = 0; fall < 3 * points; fall++) {
      for (const keepsProposals of [true, false]) {
        const court = new Court(points, collecting);
        for (let step = 0; step < 3 * points && court.state === 'running'; step++) {
          stepOf(court, step);
          if (step === fall) {
            court.crown();
            court.bury(keepsProposals);
          }
        }
        court.settle();
        const { state } = court;
        expect(state).toBe('done');
        const collected = court.collected();
        if (collecting === 'in-order') expect(collected).toEqual(emitted(points));
        else expect([...collected].sort((a, b) => a - b)).toEqual(emitted(points));
      }
    }
  });

  test('a leader that does not know that it is none has its fold refused', () => {
    const court = new Court(6, 'as-committed');
    court.cover(0);
    court.tick();
    court.commit();
    court.tick();
    // The old one's Master is at work; the new one takes the job and folds the same output.
    court.crown();
    court.tick();
    court.commit();
    court.tick();
    expect(court.orders).toHaveLength(2);
    court.answer();
    expect(court.proposed.map(({ command }) => command.kind)).toEqual(['fold']);
    court.commit();
    expect(court.refusals).toEqual(['fold']);
    expect(court.outputs).toHaveLength(1);
    court.settle();
    expect([...court.collected()].sort((a, b) => a - b)).toEqual(emitted(6));
  });

  test('what the Master does wrong pauses the job with the reason, and who resumes it tries again', () => {
    const court = new Court(3, 'as-committed');
    court.cover(0);
    court.tick();
    court.commit();
    court.tick();
    court.answer({ kind: 'failed', culprit: 'master', error: 'the ledger is full' });
    court.commit();
    expect([court.state, court.reason]).toEqual(['paused', 'the ledger is full']);
    court.set('running');
    court.tick(FOLD_INTERVAL_MS);
    expect(court.orders).toHaveLength(1);
    court.settle();
    expect(court.collected()).toEqual([0, 1]);
  });

  test('an order of a job that pauses is given up', () => {
    const court = new Court(3, 'as-committed');
    court.cover(0);
    court.tick();
    court.commit();
    court.tick();
    expect(court.orders).toHaveLength(1);
    court.set('paused');
    expect(court.orders).toHaveLength(0);
    court.settle();
    expect(court.collected()).toEqual([0, 1]);
  });

  test('a leader without the Master says so', () => {
    const court = new Court(3, 'as-committed');
    court.crown(null);
    expect(court.reign.duty.holdOf(jobId(1))).toContain('no Master of the job type "mail"');
    court.cover(0);
    court.tick();
    expect(court.proposed.every(({ reign }) => reign !== court.reign)).toBe(true);
  });

  test('whatever happens, every output is in the result once', () => {
    const deed = fc.oneof(
      { weight: 4, arbitrary: fc.record({ kind: fc.constant('cover' as const), point: fc.nat(29) }) },
      { weight: 4, arbitrary: fc.record({ kind: fc.constant('tick' as const), ms: fc.constantFrom(0, 400, 2_000) }) },
      { weight: 4, arbitrary: fc.record({ kind: fc.constantFrom('answer' as const, 'commit' as const) }) },
      { weight: 1, arbitrary: fc.record({ kind: fc.constantFrom('crown' as const, 'pause' as const) }) },
      { weight: 1, arbitrary: fc.record({ kind: fc.constant('bury' as const), keepsProposals: fc.boolean() }) },
      {
        weight: 1,
        arbitrary: fc.record({
          kind: fc.constant('fail' as const),
          culprit: fc.constantFrom('master' as const, 'host' as const, 'node' as const),
        }),
      },
    );
    const collecting = fc.constantFrom('in-order' as const, 'as-committed' as const);
    fc.assert(
      fc.property(collecting, fc.array(deed, { maxLength: 120 }), (how, deeds) => {
        const court = new Court(30, how);
        for (const each of deeds) {
          if (court.state === 'done') break;
          switch (each.kind) {
            case 'cover':
              court.cover(each.point);
              break;
            case 'tick':
              court.tick(each.ms);
              break;
            case 'answer':
              if (court.orders.length > 0) court.answer();
              break;
            case 'commit':
              if (court.proposed.length > 0) court.commit();
              break;
            case 'crown':
              court.crown();
              break;
            case 'pause':
              court.set(court.state === 'paused' ? 'running' : 'paused');
              break;
            case 'bury':
              court.bury(each.keepsProposals);
              break;
            case 'fail':
              if (court.orders.length > 0) {
                court.answer({ kind: 'failed', culprit: each.culprit, error: 'it failed' });
              }
              break;
            default:
              unreachable(each);
          }
        }
        court.settle();
        const collected = court.collected();
        expect(how === 'in-order' ? collected : [...collected].sort((a, b) => a - b)).toEqual(emitted(30));
      }),
    );
  });
});
