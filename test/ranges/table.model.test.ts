import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { isFinished } from '../../src/ranges/course.ts';
import { ClusterModel, type Move, POINTS } from './cluster-model.ts';

const choice = fc.nat({ max: 999 });

function moveOf(kind: Move['kind'], weight: number) {
  return { weight, arbitrary: fc.record({ kind: fc.constant(kind), one: choice, two: choice }) };
}

const move: fc.Arbitrary<Move> = fc.oneof(
  moveOf('grant', 10),
  moveOf('run', 8),
  moveOf('progress', 6),
  moveOf('retry', 4),
  moveOf('complete', 3),
  moveOf('fail', 4),
  moveOf('release', 3),
  moveOf('join', 4),
  moveOf('expire', 3),
  moveOf('again', 2),
  moveOf('late', 3),
  moveOf('suspect', 1),
  moveOf('control', 1),
  moveOf('restore', 1),
  moveOf('submit', 1),
);

const OPENING: readonly Move[] = [
  { kind: 'submit', one: 0, two: 0 },
  { kind: 'submit', one: 1, two: 1 },
  { kind: 'submit', one: 2, two: 2 },
  { kind: 'join', one: 0, two: 1 },
  { kind: 'join', one: 1, two: 1 },
];

/** A worker that neither dies nor fails takes whatever there is until every job is over. */
function driveToTheEnd(model: ClusterModel): void {
  model.move({ kind: 'join', one: 2, two: 1 });
  if (model.table.worker('w3')?.instanceId === 'stranger') model.move({ kind: 'expire', one: 2, two: 1 });
  model.move({ kind: 'join', one: 2, two: 1 });
  for (const { spec } of [...model.table.jobs()]) {
    model.apply({ kind: 'control-job', at: 6, id: spec.id, action: 'resume' });
    for (let turn = 0; turn < 20 * POINTS && !isFinished(model.view(spec.id).state); turn++) {
      const { tasks, returned } = model.view(spec.id);
      if (tasks[0] !== undefined) {
        model.complete(tasks[0].epoch);
        continue;
      }
      const tried = returned.find((range) => range.attempts > 0);
      model.grant(spec.id, 'w3', 7, returned.some((range) => range.attempts === 0) ? null : (tried?.start ?? null));
    }
  }
}

describe('the table under random workers', () => {
  test('agrees with the truth, with its twin and with its own snapshots at every step, and finishes every job', () => {
    fc.assert(
      fc.property(fc.array(move, { minLength: 20, maxLength: 120 }), (moves) => {
        const model = new ClusterModel();
        for (const one of [...OPENING, ...moves]) model.move(one);
        driveToTheEnd(model);
        for (const job of model.table.jobs()) {
          expect(isFinished(job.state)).toBe(true);
          if (job.state !== 'cancelled') expect(job.coveredPoints + job.failedPoints).toBe(POINTS);
          if (job.state === 'done') expect(job.covered).toEqual([{ start: 0, end: POINTS }]);
        }
      }),
      { numRuns: 60 },
    );
  });

  test('is really put to the test: the moves lead to every kind of end', () => {
    const ends = new Set<string>();
    const states = new Set<string>();
    let again = 0;
    let uncertain = 0;
    let runs = 0;
    for (const moves of fc.sample(fc.array(move, { minLength: 100, maxLength: 120 }), { numRuns: 30, seed: 7 })) {
      const model = new ClusterModel();
      const apply = model.table.apply.bind(model.table);
      model.table.apply = (index, payload) => {
        const result = apply(index, payload);
        for (const event of result.events) {
          if (event.kind === 'task-ended') ends.add(event.how);
          if (event.kind === 'job-state') states.add(event.state);
          if (event.kind === 'range-uncertain') uncertain += event.range.end - event.range.start;
        }
        return result;
      };
      for (const one of [...OPENING, ...moves]) model.move(one);
      driveToTheEnd(model);
      for (const one of [0, 1, 2]) model.move({ kind: 'again', one, two: 0 });
      driveToTheEnd(model);
      for (const job of model.table.jobs()) {
        again += job.reexecutedPoints;
        runs = Math.max(runs, job.run);
      }
    }
    expect([...ends].sort()).toEqual(['cancelled', 'completed', 'expired', 'failed', 'released']);
    expect([...states].sort()).toEqual(['cancelled', 'done', 'failed', 'paused', 'pending', 'running']);
    expect(again).toBeGreaterThan(100);
    expect(uncertain).toBeGreaterThan(10);
    expect(runs).toBeGreaterThan(1);
  });
});
