import { describe, expect, test } from 'vitest';
import { must } from '../../src/base/assert.ts';
import { PolarisError } from '../../src/base/errors.ts';
import { OUTPUTS_PER_ENTRY_MAX, OUTPUTS_PER_REPORT_MAX } from '../../src/base/limits.ts';
import type { Done } from '../../src/daemon/api.ts';
import { Reports } from '../../src/daemon/reports.ts';
import type { Command, Outcome, StampedOutput } from '../../src/ranges/types.ts';
import type { LeaderMessage, ReportResult, TaskReport } from '../../src/wire/messages.ts';
import { handleOf, jobId, Pen } from '../ranges/fixtures.ts';

interface Answer {
  readonly to: string;
  readonly sequence: number;
  readonly results: readonly ReportResult[];
}

/** Reports over a table with two workers, and a log that commits when the test says so. */
class Desk {
  readonly pen = new Pen();
  readonly answers: Answer[] = [];
  readonly proposed: { readonly command: Command; readonly done: Done<Outcome> }[] = [];
  full = false;
  readonly reports = new Reports({
    table: this.pen.table,
    stamp: () => 0,
    propose: (command, done) => this.#propose(command, done),
    send: (to, message) => this.#send(to, message),
  });

  constructor(options: { readonly delivery?: string } = {}) {
    this.pen.join('w1');
    this.pen.join('w2');
    this.pen.submit({ end: 1_000, options });
  }

  #propose(command: Command, done: Done<Outcome>): number | null {
    if (this.full) {
      done({ ok: false, error: new PolarisError('OVERLOADED') });
      return null;
    }
    this.proposed.push({ command, done });
    return this.pen.table.appliedIndex + this.proposed.length;
  }

  #send(to: string, message: LeaderMessage): void {
    expect(message.type).toBe('reported');
    if (message.type === 'reported') this.answers.push({ to, sequence: message.sequence, results: message.results });
  }

  grant(worker = 'w1', size = 10): number {
    return this.pen.grant(size, { worker });
  }

  say(worker: string, sequence: number, ...reports: readonly Partial<TaskReport>[]): void {
    const incarnation = must(this.pen.table.worker(worker), 'the worker has joined').incarnation;
    const filled = reports.map((report) => {
      const { epoch = 0, cursor = 0 } = report;
      const unsaid = { ending: null, error: '', outputs: [], checkpoint: null };
      return { ...unsaid, begun: cursor, claimed: cursor, ...report, epoch, cursor };
    });
    this.reports.take(worker, incarnation, sequence, filled);
  }

  /** The end of a turn. */
  turn(): void {
    this.reports.answer();
    this.reports.flush();
  }

  commit(): void {
    const { command, done } = must(this.proposed.shift(), 'something was proposed');
    const outcome = this.pen.apply(command);
    done({ ok: true, value: outcome });
  }

  takeAnswers(): Answer[] {
    return this.answers.splice(0);
  }
}

describe('progress', () => {
  test('of many workers goes into one entry, and is answered when that is applied', () => {
    const desk = new Desk();
    const [one, two] = [desk.grant('w1'), desk.grant('w2')];
    desk.say('w1', 1, { epoch: one, cursor: 5 });
    desk.say('w2', 7, { epoch: two, cursor: 16 });
    desk.turn();
    expect(desk.proposed.map((entry) => entry.command)).toMatchObject([
      {
        kind: 'progress',
        cursors: [
          { epoch: one, cursor: 5 },
          { epoch: two, cursor: 16 },
        ],
      },
    ]);
    desk.turn();
    expect(desk.answers).toEqual([]);
    desk.commit();
    desk.turn();
    expect(desk.answers).toEqual([
      {
        to: 'w1',
        sequence: 1,
        results: [{ epoch: one, cursor: 5, claimed: 5, end: 10, state: 'live', checkpoint: null }],
      },
      {
        to: 'w2',
        sequence: 7,
        results: [{ epoch: two, cursor: 16, claimed: 16, end: 20, state: 'live', checkpoint: null }],
      },
    ]);
  });

  test('gathers while an entry is under way, so that the log sees one at a time', () => {
    const desk = new Desk();
    const epoch = desk.grant();
    for (const cursor of [1, 2, 3]) {
      desk.say('w1', cursor, { epoch, cursor });
      desk.turn();
    }
    expect(desk.proposed).toHaveLength(1);
    desk.commit();
    desk.turn();
    expect(desk.proposed[0]?.command).toMatchObject({ cursors: [{ epoch, cursor: 3 }] });
    desk.commit();
    desk.turn();
    expect(desk.answers.map((answer) => answer.sequence)).toEqual([3]);
  });

  test('that is already committed is answered without an entry', () => {
    const desk = new Desk();
    const epoch = desk.grant();
    desk.pen.progress(epoch, 5);
    desk.say('w1', 1, { epoch, cursor: 4 });
    desk.turn();
    expect(desk.proposed).toEqual([]);
    desk.turn();
    expect(desk.answers).toMatchObject([{ results: [{ cursor: 5, state: 'live' }] }]);
  });

  test('that the log could not take is answered with what the table holds', () => {
    const desk = new Desk();
    const epoch = desk.grant();
    desk.full = true;
    desk.say('w1', 1, { epoch, cursor: 5 });
    desk.turn();
    desk.turn();
    expect(desk.answers).toMatchObject([{ results: [{ cursor: 0, state: 'live' }] }]);
    desk.full = false;
    desk.say('w1', 2, { epoch, cursor: 5 });
    desk.turn();
    expect(desk.proposed).toHaveLength(1);
  });
});

describe('claims', () => {
  test('go into the log with the cursor, and the answer tells what is committed', () => {
    const desk = new Desk({ delivery: 'at-most-once' });
    const epoch = desk.grant();
    desk.say('w1', 1, { epoch, cursor: 0, claimed: 4 });
    desk.turn();
    expect(desk.proposed[0]?.command).toMatchObject({ kind: 'progress', cursors: [{ epoch, cursor: 0, claimed: 4 }] });
    desk.commit();
    desk.turn();
    expect(desk.answers).toEqual([
      { to: 'w1', sequence: 1, results: [{ epoch, cursor: 0, claimed: 4, end: 10, state: 'live', checkpoint: null }] },
    ]);
  });

  test('of an earlier report are kept by a later one that says less', () => {
    const desk = new Desk({ delivery: 'at-most-once' });
    const epoch = desk.grant();
    desk.say('w1', 1, { epoch, cursor: 2, claimed: 6 });
    desk.say('w1', 2, { epoch, cursor: 3, claimed: 3 });
    desk.turn();
    expect(desk.proposed[0]?.command).toMatchObject({ cursors: [{ epoch, cursor: 3, claimed: 6 }] });
  });

  test('behind the cursor are not believed', () => {
    const desk = new Desk({ delivery: 'at-most-once' });
    const epoch = desk.grant();
    desk.say('w1', 1, { epoch, cursor: 5, claimed: 4 });
    desk.turn();
    expect(desk.proposed).toEqual([]);
  });

  test('that were made before the task was shrunk are cut to its end, and the answer tells that end', () => {
    const desk = new Desk({ delivery: 'at-most-once' });
    const epoch = desk.grant();
    desk.pen.apply({ kind: 'shrink', epoch, end: 6 });
    desk.say('w1', 1, { epoch, cursor: 2, claimed: 9 });
    desk.turn();
    desk.commit();
    desk.turn();
    expect(desk.answers).toMatchObject([{ results: [{ cursor: 2, claimed: 6, end: 6, state: 'live' }] }]);
  });
});

describe('endings', () => {
  test('are proposed once, however often they are said, and answered as ended with their cursor', () => {
    const desk = new Desk();
    const epoch = desk.grant();
    const report = { epoch, cursor: 10, ending: 'complete' } as const;
    desk.say('w1', 1, report);
    desk.say('w1', 2, report);
    expect(desk.proposed).toHaveLength(1);
    desk.turn();
    expect(desk.answers).toEqual([]);
    desk.commit();
    desk.turn();
    expect(desk.answers).toEqual([
      {
        to: 'w1',
        sequence: 2,
        results: [{ epoch, cursor: 10, claimed: 10, end: 10, state: 'ended', checkpoint: null }],
      },
    ]);
  });

  test('carry their own cursor: one that was gathered before is not said behind them', () => {
    const desk = new Desk();
    const epoch = desk.grant();
    desk.say('w1', 1, { epoch, cursor: 5 });
    desk.say('w1', 2, { epoch, cursor: 7, ending: 'release' });
    desk.turn();
    expect(desk.proposed.map((entry) => entry.command.kind)).toEqual(['release']);
    desk.commit();
    desk.turn();
    expect(desk.pen.job().coveredPoints).toBe(7);
    expect(desk.answers).toMatchObject([{ results: [{ epoch, cursor: 7, state: 'ended', checkpoint: null }] }]);
  });

  test('of a lease that ended otherwise are answered as stale', () => {
    const desk = new Desk();
    const epoch = desk.grant();
    desk.pen.control('cancel');
    desk.say('w1', 1, { epoch, cursor: 10, ending: 'complete' });
    desk.turn();
    expect(desk.proposed).toEqual([]);
    expect(desk.answers).toMatchObject([{ results: [{ epoch, state: 'stale', checkpoint: null }] }]);
  });

  test('that lost the race in the log are answered as stale', () => {
    const desk = new Desk();
    const epoch = desk.grant();
    desk.say('w1', 1, { epoch, cursor: 10, ending: 'complete' });
    desk.pen.control('cancel');
    desk.commit();
    desk.turn();
    expect(desk.answers).toMatchObject([{ results: [{ epoch, state: 'stale', checkpoint: null }] }]);
  });

  test('that the log could not take are answered as live, and taken when they are said again', () => {
    const desk = new Desk();
    const epoch = desk.grant();
    desk.full = true;
    desk.say('w1', 1, { epoch, cursor: 10, ending: 'complete' });
    desk.turn();
    expect(desk.answers).toMatchObject([{ results: [{ epoch, cursor: 0, state: 'live', checkpoint: null }] }]);
    desk.full = false;
    desk.say('w1', 2, { epoch, cursor: 10, ending: 'complete' });
    desk.commit();
    expect(desk.pen.job().coveredPoints).toBe(10);
  });

  test('are remembered until their worker was told, whoever else waits', () => {
    const desk = new Desk();
    const [one, two] = [desk.grant('w1'), desk.grant('w2')];
    desk.say('w1', 1, { epoch: one, cursor: 10, ending: 'complete' });
    desk.say('w2', 1, { epoch: two, cursor: 15 });
    desk.commit();
    desk.turn();
    expect(desk.takeAnswers()).toMatchObject([{ to: 'w1', results: [{ state: 'ended' }] }]);
    desk.say('w1', 2, { epoch: one, cursor: 10, ending: 'complete' });
    desk.turn();
    // Both words end it for the worker; that this one is 'stale' shows that the ending is not kept for ever.
    expect(desk.takeAnswers()).toMatchObject([{ to: 'w1', results: [{ state: 'stale' }] }]);
  });
});

test('what may have been begun is held to the lease: a task that was shrunk ends when its host died', () => {
  const desk = new Desk();
  const epoch = desk.grant();
  desk.pen.apply({ kind: 'shrink', at: 0, epoch, end: 6 });
  desk.say('w1', 1, { epoch, cursor: 2, begun: 10, ending: 'fail', error: 'the job host was killed' });
  desk.turn();
  desk.commit();
  desk.turn();
  expect(desk.takeAnswers()).toMatchObject([{ results: [{ epoch, state: 'ended' }] }]);
  expect(desk.pen.job().tasks).toEqual([]);
});

describe('what no honest worker says', () => {
  test('is not proposed, and is answered with what the table holds', () => {
    const desk = new Desk();
    const epoch = desk.grant();
    desk.say('w1', 1, { epoch, cursor: 11 });
    desk.say('w1', 2, { epoch, cursor: 5, begun: 4 });
    desk.say('w1', 3, { epoch, cursor: 5, claimed: 4, ending: 'release' });
    desk.turn();
    expect(desk.proposed).toEqual([]);
    expect(desk.answers).toMatchObject([
      { sequence: 3, results: [{ epoch, cursor: 0, state: 'live', checkpoint: null }] },
    ]);
  });

  test('of the lease of another is refused', () => {
    const desk = new Desk();
    const epoch = desk.grant('w2');
    desk.say('w1', 1, { epoch, cursor: 10, ending: 'complete' });
    desk.turn();
    expect(desk.proposed).toEqual([]);
    expect(desk.answers).toMatchObject([{ to: 'w1', results: [{ epoch, state: 'stale', checkpoint: null }] }]);
    expect(desk.pen.job().coveredPoints).toBe(0);
  });
});

test('a lease that this table does not know yet is not called stale', () => {
  const desk = new Desk();
  desk.say('w1', 1, { epoch: desk.pen.table.appliedIndex + 1, cursor: 5 });
  desk.turn();
  expect(desk.answers).toMatchObject([{ sequence: 1, results: [] }]);
});

test('a worker whose session ended is not answered', () => {
  const desk = new Desk();
  const epoch = desk.grant();
  desk.say('w1', 1, { epoch, cursor: 5 });
  desk.turn();
  desk.reports.forget('w1');
  desk.commit();
  desk.turn();
  expect(desk.answers).toEqual([]);
});

describe('outputs', () => {
  /** Output of points [start, end), stored just now. */
  function output(desk: Desk, start: number, end: number): StampedOutput {
    return { start, end, handle: handleOf(start + 1), stamp: desk.pen.table.appliedIndex };
  }

  test('go into the entry with their cursor, and those of reports that gather together', () => {
    const desk = new Desk();
    const [first, second] = [desk.grant(), desk.grant()];
    desk.say('w1', 1, { epoch: first, cursor: 2 });
    desk.turn();
    desk.say('w1', 2, { epoch: first, cursor: 4, outputs: [output(desk, 2, 4)] });
    desk.say(
      'w1',
      3,
      {
        epoch: first,
        cursor: 6,
        outputs: [output(desk, 2, 4), output(desk, 5, 6)],
      },
      { epoch: second, cursor: 12, outputs: [output(desk, 11, 12)] },
    );
    desk.commit();
    desk.turn();
    desk.commit();
    expect(desk.pen.job().outputs.map(({ start, end }) => [start, end])).toEqual([
      [2, 4],
      [5, 6],
      [11, 12],
    ]);
  });

  test('that contradict their cursor are left unsaid', () => {
    const desk = new Desk();
    const epoch = desk.grant();
    desk.say('w1', 1, { epoch, cursor: 5, outputs: [output(desk, 3, 6)] });
    desk.turn();
    expect(desk.proposed).toEqual([]);
  });

  test('of an ending go with it', () => {
    const desk = new Desk();
    const epoch = desk.grant();
    desk.say('w1', 1, { epoch, cursor: 10, ending: 'complete', outputs: [output(desk, 0, 10)] });
    desk.turn();
    desk.commit();
    desk.turn();
    expect(desk.takeAnswers()).toMatchObject([{ results: [{ epoch, state: 'ended' }] }]);
    expect(desk.pen.job().outputs).toHaveLength(1);
  });

  test('of another schema end the task, and its worker hears that it is stale', () => {
    const desk = new Desk();
    const [first, second] = [desk.grant(), desk.grant()];
    desk.say('w1', 1, { epoch: first, cursor: 10, ending: 'complete', outputs: [output(desk, 0, 10)] });
    desk.commit();
    const other = { ...output(desk, 10, 20), handle: handleOf(11, 'ffffffffffffffff') };
    desk.say('w1', 2, { epoch: second, cursor: 20, ending: 'complete', outputs: [other] });
    desk.commit();
    desk.turn();
    expect(desk.takeAnswers().at(-1)?.results).toMatchObject([{ epoch: second, state: 'stale' }]);
  });

  test('that cannot be kept are answered with the word that their task must end', () => {
    const desk = new Desk();
    const [first, second] = [desk.grant(), desk.grant()];
    desk.say('w1', 1, { epoch: first, cursor: 10, ending: 'complete', outputs: [output(desk, 0, 10)] });
    desk.commit();
    const other = { ...output(desk, 10, 12), handle: handleOf(11, 'ffffffffffffffff') };
    desk.say('w1', 2, { epoch: second, cursor: 12, outputs: [other] });
    desk.turn();
    desk.commit();
    desk.turn();
    expect(desk.takeAnswers().at(-1)?.results).toMatchObject([{ epoch: second, cursor: 10, state: 'refused' }]);
    desk.say('w1', 3, { epoch: second, cursor: 12, ending: 'release', outputs: [other] });
    desk.commit();
    desk.turn();
    expect(desk.takeAnswers().at(-1)?.results).toMatchObject([{ epoch: second, state: 'stale' }]);
    expect(desk.pen.job().returned[0]).toMatchObject({ start: 10, end: 12, attempts: 1 });
  });

  test('in one entry are bounded: the rest goes with the next, and its worker waits for that', () => {
    const desk = new Desk();
    const tasks = OUTPUTS_PER_ENTRY_MAX / OUTPUTS_PER_REPORT_MAX + 1;
    desk.pen.submit({ id: jobId(2), end: tasks * 100 });
    const epochs = Array.from({ length: tasks }, () => desk.pen.grant(100, { job: jobId(2) }));
    const reports = epochs.map((epoch, at) => {
      const from = at * 100;
      const outputs = Array.from({ length: OUTPUTS_PER_REPORT_MAX }, (_, one) =>
        output(desk, from + one, from + one + 1),
      );
      return { epoch, cursor: from + OUTPUTS_PER_REPORT_MAX, outputs };
    });
    desk.say('w1', 1, ...reports);
    desk.turn();
    desk.commit();
    desk.turn();
    expect(desk.takeAnswers()).toEqual([]);
    desk.commit();
    desk.turn();
    expect(desk.takeAnswers()).toHaveLength(1);
    expect(desk.pen.job(jobId(2)).outputs).toHaveLength(tasks * OUTPUTS_PER_REPORT_MAX);
  });
});

describe('checkpoints', () => {
  const checkpointOf = (stage: number) => ({ stage, fingerprint: 'code', handle: handleOf(900 + stage), stamp: 0 });

  test('are proposed once, before the end of their task, and the answer names the stage that is committed', () => {
    const desk = new Desk();
    const epoch = desk.grant();
    desk.say('w1', 1, { epoch, checkpoint: checkpointOf(0) });
    desk.say('w1', 2, { epoch, checkpoint: checkpointOf(0) });
    expect(desk.proposed.map(({ command }) => command.kind)).toEqual(['checkpoint']);
    desk.turn();
    expect(desk.takeAnswers()).toEqual([]);
    desk.commit();
    desk.turn();
    expect(desk.takeAnswers()).toMatchObject([{ sequence: 2, results: [{ epoch, state: 'live', checkpoint: 0 }] }]);
    desk.say('w1', 3, { epoch, checkpoint: checkpointOf(1), ending: 'release' });
    expect(desk.proposed.map(({ command }) => command.kind)).toEqual(['checkpoint', 'release']);
    desk.commit();
    desk.commit();
    expect(desk.pen.job().returned).toMatchObject([{ checkpoint: { stage: 1 } }]);
  });

  test('that are committed are not proposed again', () => {
    const desk = new Desk();
    const epoch = desk.grant();
    desk.say('w1', 1, { epoch, checkpoint: checkpointOf(0) });
    desk.commit();
    desk.say('w1', 2, { epoch, checkpoint: checkpointOf(0) });
    expect(desk.proposed).toEqual([]);
  });

  test('that the log could not take are proposed when they are said again', () => {
    const desk = new Desk();
    const epoch = desk.grant();
    desk.full = true;
    desk.say('w1', 1, { epoch, checkpoint: checkpointOf(0) });
    desk.full = false;
    desk.say('w1', 2, { epoch, checkpoint: checkpointOf(0) });
    expect(desk.proposed).toHaveLength(1);
  });
});
