import { expect, test } from 'vitest';
import { must } from '../../src/base/assert.ts';
import { MASTER_CALLS_MAX, MASTER_PROGRESS_MS } from '../../src/base/limits-masters.ts';
import { SILENT } from '../../src/base/log.ts';
import { Oversight } from '../../src/daemon/oversight.ts';
import { jobId, Pen } from '../ranges/fixtures.ts';
import { HandExecutor, HandTime } from './fakes.ts';

/** The oversight of a leader, over a table in which a test moves jobs by hand. */
class Tower {
  readonly time = new HandTime();
  readonly executor = new HandExecutor(['mail'], 'window', true);
  readonly pen = new Pen();
  readonly oversight = new Oversight({
    table: this.pen.table,
    clock: this.time,
    executor: this.executor,
    log: SILENT,
  });

  constructor() {
    this.pen.join();
  }

  submit(number = 1, overseen = true, name = 'mail'): void {
    this.pen.submit({ id: jobId(number), end: 100, overseen, name });
    this.oversight.follow(this.pen.job(jobId(number)));
  }

  move(): void {
    this.oversight.moved(jobId(1));
    this.oversight.tick();
  }

  call() {
    return must(this.executor.overseen.shift(), 'the Master is called');
  }
}

test('a Master hears of a job at once, and then at most once in a while, and only of what moved', () => {
  const tower = new Tower();
  tower.submit();
  tower.oversight.tick();
  const first = tower.call();
  expect(first.call).toMatchObject({ kind: 'progress', report: { job: jobId(1), progress: { done: 0, total: 100 } } });
  first.done(null);
  tower.pen.progress(tower.pen.grant(100), 7);
  tower.move();
  expect(tower.executor.overseen).toEqual([]);
  tower.time.pass(MASTER_PROGRESS_MS);
  tower.oversight.tick();
  expect(tower.call().call.report.progress.done).toBe(7);
  tower.time.pass(10 * MASTER_PROGRESS_MS);
  tower.oversight.tick();
  expect(tower.executor.overseen).toEqual([]);
});

test('a Master that is still at it is not called again, and one that failed is', () => {
  const tower = new Tower();
  tower.submit();
  tower.oversight.tick();
  const slow = tower.call();
  tower.time.pass(10 * MASTER_PROGRESS_MS);
  tower.move();
  expect(tower.executor.overseen).toEqual([]);
  slow.done('it threw');
  tower.oversight.tick();
  tower.call();
});

test('nobody is called for a job without a Master, for one that this leader lacks, or for one that has ended', () => {
  const tower = new Tower();
  tower.submit(1, false);
  tower.submit(2, true, 'index');
  tower.submit(3);
  tower.pen.control('cancel', jobId(3));
  tower.oversight.follow(tower.pen.job(jobId(3)));
  tower.oversight.tick();
  expect(tower.executor.overseen).toEqual([]);
});

test('calls at a time are bounded, and none is forgotten', () => {
  const tower = new Tower();
  const jobs = MASTER_CALLS_MAX + 3;
  for (let number = 1; number <= jobs; number++) tower.submit(number);
  tower.oversight.tick();
  const first = tower.executor.overseen.splice(0);
  expect(first).toHaveLength(MASTER_CALLS_MAX);
  for (const { done } of first) done(null);
  tower.oversight.tick();
  expect(tower.executor.overseen).toHaveLength(3);
});
