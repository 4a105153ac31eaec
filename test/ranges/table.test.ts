import { describe, expect, test } from 'vitest';
import {
  FINISHED_JOBS_AGE_MS,
  FINISHED_JOBS_MAX,
  OFFERED_NAMES_MAX,
  OPEN_JOBS_MAX,
  UNTOLD_JOBS_MAX,
} from '../../src/base/limits.ts';
import { encodeCommand } from '../../src/ranges/codec.ts';
import { JobTable } from '../../src/ranges/table.ts';
import { jobId, Pen, type SpecChanges, specOf } from './fixtures.ts';

/** A job of [0, 100) with a commit window of 10, and one worker. */
function started(changes: SpecChanges = {}): Pen {
  const pen = new Pen();
  pen.join();
  pen.submit(changes);
  return pen;
}

describe('the log', () => {
  test('is applied without a gap, and each entry once', () => {
    const { table } = new Pen();
    expect(() => table.apply(2, new Uint8Array())).toThrow('in order');
    table.apply(1, new Uint8Array());
    expect(() => table.apply(1, new Uint8Array())).toThrow('in order');
    expect(table.appliedIndex).toBe(1);
  });

  test('has no-ops that change nothing but the index', () => {
    const pen = started();
    const before = pen.table.snapshot();
    expect(pen.applyBytes(new Uint8Array())).toEqual({ kind: 'nothing' });
    expect(pen.last).toEqual([]);
    expect(pen.table.snapshot()).toEqual(before);
    expect(pen.table.appliedIndex).toBe(3);
  });

  test('stops the replica at an entry that is no command', () => {
    const pen = started();
    expect(() => pen.applyBytes(Uint8Array.of(1, 2, 3))).toThrow(expect.objectContaining({ code: 'LOG_DAMAGED' }));
    expect(pen.table.appliedIndex).toBe(2);
  });
});

describe('submitting', () => {
  test('creates a job that is pending and keeps the order', () => {
    const pen = new Pen();
    expect(pen.submit({ id: jobId(9) })).toEqual({ kind: 'created', id: jobId(9) });
    expect(pen.last).toEqual([{ kind: 'job-submitted', job: jobId(9) }]);
    pen.submit({ id: jobId(1) });
    expect([...pen.table.jobs()].map((job) => job.spec.id)).toEqual([jobId(9), jobId(1)]);
    expect(pen.job()).toMatchObject({ state: 'pending', startedAt: null, finishedAt: null, createdAt: pen.at });
  });

  test('the same spec again gives the same job, also when it is finished', () => {
    const pen = started();
    expect(pen.submit()).toEqual({ kind: 'exists', id: jobId(1) });
    pen.complete(pen.grant(100));
    expect(pen.submit()).toEqual({ kind: 'exists', id: jobId(1) });
    expect(pen.last).toEqual([]);
  });

  test('another spec under a known id is refused', () => {
    const pen = started();
    expect(pen.submit({ end: 101 })).toMatchObject({ kind: 'refused', code: 'SPEC_CONFLICT' });
    expect(pen.job().spec.end).toBe(100);
  });

  test('beyond the limit of open jobs is refused until one is finished', () => {
    const { table } = new Pen();
    let index = 0;
    const submit = (number: number) =>
      table.apply(
        ++index,
        encodeCommand({ kind: 'submit-job', stamp: null, at: 1, spec: specOf({ id: jobId(number) }) }),
      ).outcome;
    for (let i = 0; i < OPEN_JOBS_MAX; i++) expect(submit(i).kind).toBe('created');
    expect(submit(5_000)).toMatchObject({ kind: 'refused', code: 'TOO_MANY_JOBS' });
    expect(submit(7)).toEqual({ kind: 'exists', id: jobId(7) });
    table.apply(++index, encodeCommand({ kind: 'control-job', at: 1, id: jobId(7), action: 'cancel' }));
    expect(submit(5_000).kind).toBe('created');
  });

  test('finds jobs by the beginning of their ids, and no more than asked for', () => {
    const pen = new Pen();
    for (const id of ['ab1', 'ab2', 'b1']) pen.submit({ id });
    expect(pen.table.jobIdsWith('ab', 10)).toEqual(['ab1', 'ab2']);
    expect(pen.table.jobIdsWith('ab', 1)).toEqual(['ab1']);
    expect(pen.table.jobIdsWith('', 10)).toHaveLength(3);
    expect(pen.table.jobIdsWith('c', 10)).toEqual([]);
  });
});

describe('keeping finished jobs', () => {
  test('those finished longest ago are evicted beyond the limit, in the order in which they finished', () => {
    const { table } = new Pen();
    let index = 0;
    for (let i = 0; i <= FINISHED_JOBS_MAX; i++) {
      table.apply(++index, encodeCommand({ kind: 'submit-job', stamp: null, at: 1, spec: specOf({ id: jobId(i) }) }));
      // The first two finish in the other order.
      const done = i < 2 ? [[], [1, 0]][i]! : [i];
      for (const number of done) {
        table.apply(++index, encodeCommand({ kind: 'control-job', at: 1, id: jobId(number), action: 'cancel' }));
      }
    }
    expect([...table.jobs()]).toHaveLength(FINISHED_JOBS_MAX + 1);
    const spec = specOf({ id: jobId(5_000) });
    const { events } = table.apply(++index, encodeCommand({ kind: 'submit-job', stamp: null, at: 1, spec }));
    expect(events).toContainEqual({ kind: 'job-evicted', job: jobId(1) });
    expect(table.job(jobId(1))).toBeUndefined();
    expect(table.job(jobId(0))?.state).toBe('cancelled');
  });

  /** Submits a job and cancels it; gives whom the table let go of meanwhile. */
  function finish(table: JobTable, number: number, onDone: string | null): string[] {
    const spec = specOf({ id: jobId(number), options: { onDone } });
    const commands = [
      { kind: 'submit-job', stamp: null, at: 1, spec },
      { kind: 'control-job', at: 1, id: spec.id, action: 'cancel' },
    ] as const;
    return commands.flatMap((command) => {
      const { events } = table.apply(table.appliedIndex + 1, encodeCommand(command));
      return events.flatMap((event) => (event.kind === 'job-evicted' ? [event.job] : []));
    });
  }

  test('an untold job outlives others, up to so many of them, whatever replica one asks', () => {
    const table = new JobTable();
    const untold = UNTOLD_JOBS_MAX + 2;
    for (let number = 1; number <= FINISHED_JOBS_MAX + 1; number++) {
      expect(finish(table, number, number <= untold ? 'http://h/' : null)).toEqual([]);
    }
    const copy = new JobTable();
    copy.restore(table.appliedIndex, table.snapshot());
    for (const each of [table, copy]) {
      const evicted = [2_001, 2_002, 2_003, 2_004].flatMap((number) => finish(each, number, null));
      expect(evicted).toEqual([1, 2, untold + 1, untold + 2].map(jobId));
    }
    expect(copy.snapshot()).toEqual(table.snapshot());
  });

  test('an untold job is too old some day', () => {
    const pen = started({ options: { onDone: 'http://h/' } });
    pen.control('cancel');
    pen.at += FINISHED_JOBS_AGE_MS + 1;
    pen.join('w2');
    expect(pen.last[0]).toEqual({ kind: 'job-evicted', job: jobId(1) });
  });

  test('those that are too old by the stamps are evicted, open ones never', () => {
    const pen = started();
    pen.submit({ id: jobId(2) });
    pen.complete(pen.grant(100));
    pen.at += FINISHED_JOBS_AGE_MS;
    pen.submit({ id: jobId(3) });
    expect(pen.job().state).toBe('done');
    pen.at += 1;
    expect(pen.submit()).toEqual({ kind: 'created', id: jobId(1) });
    expect(pen.last[0]).toEqual({ kind: 'job-evicted', job: jobId(1) });
    expect(pen.job(jobId(2)).state).toBe('pending');
  });
});

describe('controlling a job', () => {
  test('a paused job gets no grant, but its live tasks go on and may finish it', () => {
    const pen = started();
    const first = pen.grant(50);
    const second = pen.grant(50);
    expect(pen.control('pause')).toEqual({ kind: 'ok' });
    expect(pen.job()).toMatchObject({ state: 'paused', reason: 'by request' });
    expect(pen.tryGrant(1)).toEqual({ kind: 'nothing' });
    pen.progress(first, 30);
    expect(pen.job().coveredPoints).toBe(30);
    pen.complete(first);
    pen.complete(second);
    expect(pen.job()).toMatchObject({ state: 'done', reason: null });
  });

  test('a resumed job is pending if nothing was ever granted, else running', () => {
    const pen = started();
    pen.control('pause');
    pen.control('resume');
    expect(pen.job()).toMatchObject({ state: 'pending', reason: null });
    const epoch = pen.grant(10);
    pen.control('pause');
    pen.release(epoch, 0, 0);
    expect(pen.tryGrant(1)).toEqual({ kind: 'nothing' });
    pen.control('resume');
    expect(pen.job()).toMatchObject({ state: 'running', reason: null });
    expect(pen.table.task(pen.grant(10))).toMatchObject({ start: 0, end: 10 });
  });

  test('a cancelled job has no task, keeps its coverage and takes no late report', () => {
    const pen = started();
    const epoch = pen.grant(50);
    pen.progress(epoch, 20);
    expect(pen.control('cancel')).toEqual({ kind: 'ok' });
    expect(pen.last).toEqual([
      { kind: 'task-ended', job: jobId(1), epoch, worker: 'w1', how: 'cancelled', rest: { start: 20, end: 50 } },
      { kind: 'job-state', job: jobId(1), state: 'cancelled', reason: null },
      { kind: 'job-finished', job: jobId(1), run: 1, state: 'cancelled' },
    ]);
    expect(pen.job()).toMatchObject({ state: 'cancelled', tasks: [], coveredPoints: 20, finishedAt: pen.at });
    expect(pen.table.worker('w1')?.epochs).toEqual([]);
    expect(pen.progress(epoch, 30)).toEqual({ kind: 'progressed', stale: [epoch] });
    expect(pen.job().coveredPoints).toBe(20);
    expect(pen.tryGrant(10)).toEqual({ kind: 'nothing' });
  });

  test('a job whose every point is acknowledged is done, not cancelled', () => {
    const pen = started();
    pen.progress(pen.grant(100), 100);
    expect(pen.job().state).toBe('running');
    expect(pen.control('cancel')).toEqual({ kind: 'ok' });
    expect(pen.job().state).toBe('done');
  });

  test('a cancelled job costs its holes and not what its leases left behind', () => {
    const pen = started({ end: 1_000, options: { maxAttempts: 100 } });
    const epochs = Array.from({ length: 20 }, () => pen.grant(10));
    for (const epoch of epochs) pen.fail(epoch, 0, 1_000, `error ${epoch}`);
    expect(pen.job().returned).toHaveLength(20);
    pen.control('cancel');
    expect(pen.job().returned).toEqual([
      { start: 0, end: 200, touched: 200, attempts: 0, error: '', checkpoint: null },
    ]);
  });

  test('saying the same thing twice is fine, and says nothing the second time', () => {
    const pen = started();
    for (const action of ['pause', 'resume', 'cancel'] as const) {
      pen.control(action);
      expect(pen.control(action)).toEqual({ kind: 'ok' });
      expect(pen.last).toEqual([]);
    }
  });

  test('a finished job can be neither paused, resumed nor cancelled', () => {
    const pen = started();
    pen.complete(pen.grant(100));
    for (const action of ['pause', 'resume', 'cancel'] as const) {
      expect(pen.control(action)).toMatchObject({ kind: 'refused', code: 'WRONG_STATE' });
    }
    expect(pen.control('pause', jobId(2))).toMatchObject({ kind: 'refused', code: 'JOB_NOT_FOUND' });
  });
});

describe('workers', () => {
  const join = (pen: Pen, instanceId: string) =>
    pen.apply({ kind: 'worker-join', worker: 'w1', instanceId, address: 'h:2', slots: 3, offers: [] });

  test('a join gives an incarnation, which is its index', () => {
    const pen = started();
    expect(pen.table.worker('w1')).toMatchObject({ incarnation: 1, instanceId: 'i-w1', slots: 9, suspectQuarters: 0 });
    expect(pen.events[0]).toEqual({ kind: 'worker-joined', worker: 'w1', incarnation: 1 });
  });

  test('the same instance that joins again loses its tasks and lives anew', () => {
    const pen = started();
    const epoch = pen.grant(50);
    expect(join(pen, 'i-w1')).toEqual({ kind: 'joined', incarnation: 4 });
    expect(pen.last.map((event) => event.kind)).toEqual(['worker-ended', 'task-ended', 'worker-joined']);
    expect(pen.last[1]).toMatchObject({ how: 'expired', epoch, rest: { start: 0, end: 50 } });
    expect(pen.table.worker('w1')).toMatchObject({ incarnation: 4, epochs: [], offers: [], address: 'h:2' });
    expect(pen.progress(epoch, 10)).toEqual({ kind: 'progressed', stale: [epoch] });
  });

  test('another instance under the id of a live session is refused, and welcome once that is over', () => {
    const pen = started();
    const epoch = pen.grant(50);
    expect(join(pen, 'other')).toMatchObject({ kind: 'refused', code: 'INSTANCE_MISMATCH' });
    expect(pen.table.task(epoch)).toBeDefined();
    pen.expire();
    expect(join(pen, 'other')).toMatchObject({ kind: 'joined' });
  });

  test('an expired worker leaves the table and its tasks go back', () => {
    const pen = started();
    const epochs = [pen.grant(20), pen.grant(20)];
    expect(pen.expire()).toEqual({ kind: 'ok' });
    expect(pen.table.worker('w1')).toBeUndefined();
    expect(pen.last[0]).toEqual({ kind: 'worker-ended', worker: 'w1', incarnation: 1, reason: 'silence' });
    expect(pen.last.slice(1)).toMatchObject(epochs.map((epoch) => ({ kind: 'task-ended', how: 'expired', epoch })));
    expect(pen.job().returned.reduce((points, range) => points + range.end - range.start, 0)).toBe(40);
  });

  test('words about a former incarnation change nothing', () => {
    const pen = started();
    join(pen, 'i-w1');
    const before = pen.table.snapshot();
    const former = { worker: 'w1', incarnation: 1 };
    expect(pen.apply({ kind: 'worker-expire', ...former, reason: 'late' })).toEqual({ kind: 'nothing' });
    expect(pen.apply({ kind: 'worker-suspect', ...former, quarters: 2 })).toEqual({ kind: 'nothing' });
    expect(pen.apply({ kind: 'worker-heard', ...former })).toEqual({ kind: 'nothing' });
    const grant = { kind: 'grant', job: jobId(1), ...former, size: 1, retry: null } as const;
    expect(pen.apply(grant)).toEqual({ kind: 'nothing' });
    expect(pen.table.snapshot()).toEqual(before);
  });

  test('quarters of silence pile up to three and go when the worker is heard', () => {
    const pen = started();
    const quartersAfter = (quarters: number) => {
      pen.apply({ kind: 'worker-suspect', worker: 'w1', incarnation: 1, quarters });
      return pen.table.worker('w1')?.suspectQuarters;
    };
    expect([2, 1, 3, 9].map(quartersAfter)).toEqual([2, 2, 3, 3]);
    pen.apply({ kind: 'worker-heard', worker: 'w1', incarnation: 1 });
    expect(pen.table.worker('w1')?.suspectQuarters).toBe(0);
  });

  test('are listed in the order of their ids', () => {
    const pen = new Pen();
    for (const id of ['w2', 'W3', 'w10', 'ä']) pen.join(id);
    expect([...pen.table.workers()].map((worker) => worker.id)).toEqual(['W3', 'w10', 'w2', 'ä']);
  });

  test('a job type is remembered after the last worker that offered it left', () => {
    const pen = new Pen();
    pen.join('w1', ['hash']);
    expect(pen.table.everOffered('hash')).toBe(true);
    expect(pen.table.everOffered('mail')).toBe(false);
    pen.expire('w1');
    expect(pen.table.everOffered('hash')).toBe(true);
    expect(pen.restored().everOffered('hash')).toBe(true);
  });

  test('of remembered job types the longest unseen is forgotten, but never one that is on offer', () => {
    const pen = new Pen();
    pen.join('stays', ['kept']);
    pen.join('leaves', ['lost']);
    pen.expire('leaves');
    for (let i = 0; i < OFFERED_NAMES_MAX; i += 256) {
      pen.join(
        'many',
        Array.from({ length: 256 }, (_, offset) => `type-${i + offset}`),
      );
    }
    expect(pen.table.everOffered('lost')).toBe(false);
    expect(pen.table.everOffered('kept')).toBe(true);
    expect(pen.table.everOffered('type-0')).toBe(true);
    expect(pen.restored().snapshot()).toEqual(pen.table.snapshot());
  });
});

describe('the view of a job', () => {
  test('is live, and what it gave out or what was spread from it stays as it was', () => {
    const pen = started();
    const view = pen.job();
    const copy = { ...view };
    const { tasks } = view;
    pen.grant(10);
    expect(view.tasks).toHaveLength(1);
    expect(view.state).toBe('running');
    expect(tasks).toHaveLength(0);
    expect(copy).toMatchObject({ state: 'pending', tasks: [], frontier: 0 });
    expect(() => (view.tasks as unknown[]).pop()).toThrow();
  });
});

describe('a restored table', () => {
  test('refuses a snapshot that is cut, foreign or contradicts itself, and stays as it was', () => {
    const pen = started();
    pen.grant(10, { job: jobId(1) });
    const good = pen.table.snapshot();
    const bad = [good.subarray(0, -1), Uint8Array.of(), Uint8Array.of(0x95, 9, 0x90, 0x90, 0x90, 0x90)];
    for (const bytes of bad) {
      expect(() => pen.table.restore(99, bytes)).toThrow(expect.objectContaining({ code: 'LOG_DAMAGED' }));
    }
    // An epoch above the index of the snapshot cannot have been granted yet.
    expect(() => pen.table.restore(2, good)).toThrow(expect.objectContaining({ code: 'LOG_DAMAGED' }));
    expect(pen.table.snapshot()).toEqual(good);
    expect(pen.table.appliedIndex).toBe(3);
  });
});
