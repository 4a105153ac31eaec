/**
 * Random workers that emit, against a list kept by hand: whatever happens to leases, the outputs of the table are those
 * that came with the cursor, and the blobs that are held are those that something refers to (checkTable, in the pen).
 */
import * as fc from 'fast-check';
import { expect, test } from 'vitest';
import { must } from '../../src/base/assert.ts';
import type { Point } from '../../src/base/types.ts';
import type { StampedOutput, Task } from '../../src/ranges/types.ts';
import { handleOf, jobId, Pen } from './fixtures.ts';

const POINTS = 60;
const KINDS = [
  'grant',
  'emit',
  'emit',
  'emit',
  'repeat',
  'end',
  'expire',
  'checkpoint',
  'take',
  'fold',
  'condemn',
  'retry',
] as const;

interface Move {
  readonly kind: (typeof KINDS)[number];
  readonly one: number;
  readonly two: number;
}

const move: fc.Arbitrary<Move> = fc.record({
  kind: fc.constantFrom(...KINDS),
  one: fc.nat({ max: 999 }),
  two: fc.nat({ max: 999 }),
});

class Model {
  readonly pen = new Pen();
  /** By start: what is to be in the table. */
  readonly outputs = new Map<Point, StampedOutput>();
  readonly last = new Map<number, StampedOutput[]>();
  #blobs = 0;

  constructor() {
    this.pen.submit({ end: POINTS, overseen: true, collects: true, options: { maxAttempts: 2, tolerate: 1_000 } });
    this.pen.join();
  }

  play({ kind, one, two }: Move): void {
    const { pen } = this;
    const { tasks, returned, outputs, master } = pen.job();
    const task = tasks[one % Math.max(1, tasks.length)];
    if (kind === 'grant') {
      const tried = returned.find(({ attempts }) => attempts > 0);
      pen.tryGrant(1 + (two % 20), { retry: two % 3 === 0 ? (tried?.start ?? null) : null });
    } else if (kind === 'expire') {
      pen.expire();
      pen.join();
    } else if (kind === 'take') pen.apply({ kind: 'take-master', job: jobId(1) });
    else if (kind === 'fold' && master !== null) {
      const chosen = outputs.filter((_, at) => (one >> (at % 10)) % 2 === 1).map(({ start }) => start);
      const fold = { job: jobId(1), epoch: master.epoch, outputs: chosen, stamp: pen.table.appliedIndex };
      if (pen.apply({ kind: 'fold', ...fold, state: this.#blob() }).kind === 'ok')
        for (const at of chosen) this.outputs.delete(at);
    } else if (kind === 'condemn')
      pen.apply({ kind: 'condemn', hashes: [handleOf(1 + (one % (this.#blobs + 1))).hash] });
    else if (kind === 'retry') pen.apply({ kind: 'retry-job', id: jobId(1), range: null, uncertain: false });
    else if (task !== undefined) this.#work(kind, task, one, two);
    this.#compare();
  }

  #work(kind: Move['kind'], task: Task, one: number, two: number): void {
    const { epoch, cursor, end } = task;
    const { pen } = this;
    if (kind === 'checkpoint') {
      const checkpoint = { stage: one % 5, fingerprint: `code ${two % 2}`, handle: this.#blob() };
      pen.apply({ kind: 'checkpoint', epoch, checkpoint, stamp: pen.table.appliedIndex });
      return;
    }
    const to = cursor + (two % (end - cursor + 1));
    const before = this.last.get(epoch) ?? [];
    const fresh = kind === 'repeat' ? [] : this.#emitted(cursor, to, one);
    const outputs = [...before.filter((_, at) => at % 2 === one % 2), ...fresh];
    const how = kind === 'end' ? (['complete', 'fail', 'release'] as const)[one % 3] : undefined;
    if (how === 'fail') pen.apply({ kind: 'fail', epoch, cursor: to, begun: end, error: 'boom', outputs });
    else if (how !== undefined) pen.apply({ kind: how, epoch, cursor: to, begun: to, outputs });
    else pen.progress(epoch, to, to, outputs);
    for (const output of fresh) this.outputs.set(output.start, output);
    this.last.set(epoch, [...before, ...fresh]);
  }

  /** Some of the points, in pieces. */
  #emitted(from: Point, to: Point, choice: number): StampedOutput[] {
    const outputs: StampedOutput[] = [];
    for (let start = from; start < to; ) {
      const end = Math.min(to, start + 1 + ((choice + start) % 4));
      const stamp = this.pen.table.appliedIndex;
      if ((choice + end) % 3 !== 0) outputs.push({ start, end, handle: this.#blob(), stamp });
      start = end;
    }
    return outputs;
  }

  #blob() {
    this.#blobs += 1;
    return handleOf(this.#blobs);
  }

  #compare(): void {
    const wanted = [...this.outputs.values()].sort((left, right) => left.start - right.start);
    expect(this.pen.job().outputs).toEqual(wanted.map(({ start, end, handle }) => ({ start, end, handle })));
    expect(Buffer.compare(this.pen.restored().snapshot(), this.pen.table.snapshot())).toBe(0);
  }
}

test('the outputs of a job are those that came with its cursors and were not folded', () => {
  fc.assert(
    fc.property(fc.array(move, { minLength: 10, maxLength: 60 }), (moves) => {
      const model = new Model();
      for (const one of moves) model.play(one);
      expect(must(model.pen.table.job(jobId(1)), 'the job stays').spec.end).toBe(POINTS);
    }),
    { numRuns: 60 },
  );
});
