/**
 * Pipelines: what runs again after a crash at any place, and what does not.
 */
import { Field, Int32, Int64, type RecordBatch, Schema, tableFromArrays } from 'apache-arrow';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { exportedClass } from '../../src/jobtype/exported.ts';
import { type BatchTask, type PipelineClass, pipeline } from '../../src/jobtype/pipeline.ts';
import { type CheckpointPolicy, pipelineFingerprint, planSegments, resumePoint } from '../../src/jobtype/stages.ts';
import { Crash, type CrashPoint, RangeTwin } from './stage-twin.ts';

const STAGES = 4;
const BATCHES = 3;
const INPUT = [1, 2, 3].map((first) => batchOf([first, first + 10]));
const POLICIES: readonly CheckpointPolicy[] = ['every-stage', { everyN: 2 }, { everyN: 3 }, 'none'];

function batchOf(values: readonly number[]): RecordBatch {
  return tableFromArrays({ value: Int32Array.from(values) }).batches[0]!;
}

function valuesOf(batches: readonly RecordBatch[] | null): number[][] | null {
  return batches?.map((batch) => [...batch.getChild('value')!].map(Number)) ?? null;
}

/** Four stages that each multiply and add, so that a stage left out or run twice shows; `runs` counts batches. */
function counting(policy: CheckpointPolicy, runs: number[], crash: CrashPoint | null = null): PipelineClass<never> {
  let type = pipeline<never>('numbers').checkpoints(policy);
  for (let stage = 0; stage < STAGES; stage++) {
    type = type.stage(`stage-${stage}`, async (batch) => {
      if (crash?.at === 'stage' && crash.stage === stage && crash.batch === runs[stage]) throw new Crash();
      runs[stage] = (runs[stage] ?? 0) + 1;
      return batchOf(valuesOf([batch])![0]!.map((value) => value * 3 + stage));
    });
  }
  return type;
}

const EXPECTED = INPUT.map((batch) =>
  valuesOf([batch])![0]!.map((value) => [0, 1, 2, 3].reduce((result, stage) => result * 3 + stage, value)),
);

async function attempt(range: RangeTwin, policy: CheckpointPolicy, crash: CrashPoint | null = null): Promise<number[]> {
  const runs = [0, 0, 0, 0];
  const type = counting(policy, runs, crash);
  const done = new type().work(range.task(crash) as BatchTask<never>);
  if (crash === null) await done;
  else await expect(done).rejects.toBeInstanceOf(Crash);
  return runs;
}

/** Stages behind which each policy writes, of four. */
function savedBy(policy: CheckpointPolicy): number[] {
  if (policy === 'every-stage') return [0, 1, 2, 3];
  if (policy === 'none') return [];
  return policy.everyN === 2 ? [1, 3] : [2];
}

/** Every place at which a run with this policy can die, and the last checkpoint that is durable then. */
function crashes(policy: CheckpointPolicy): { readonly crash: CrashPoint; readonly durable: number }[] {
  const saved = savedBy(policy);
  const before = (stage: number) => Math.max(-1, ...saved.filter((each) => each < stage));
  const found: { crash: CrashPoint; durable: number }[] = [];
  for (let stage = 0; stage < STAGES; stage++) {
    for (let batch = 0; batch < BATCHES; batch++)
      found.push({ crash: { at: 'stage', stage, batch }, durable: before(stage) });
  }
  for (const stage of saved) {
    found.push({ crash: { at: 'before-save', stage }, durable: before(stage) });
    found.push({ crash: { at: 'in-save', stage, batch: 1 }, durable: before(stage) });
    found.push({ crash: { at: 'after-save', stage }, durable: stage });
  }
  found.push({ crash: { at: 'emit', batch: 1 }, durable: before(STAGES) });
  found.push({ crash: { at: 'acknowledge' }, durable: before(STAGES) });
  return found;
}

describe('a crash', () => {
  for (const policy of POLICIES) {
    for (const { crash, durable } of crashes(policy)) {
      test(`with ${JSON.stringify(policy)} at ${JSON.stringify(crash)} repeats nothing up to stage ${durable + 1}`, async () => {
        const range = new RangeTwin(INPUT);
        await attempt(range, policy, crash);
        expect(range.committed).toBe(null);
        expect(range.checkpointStage).toBe(durable < 0 ? null : durable);
        const runs = await attempt(range, policy);
        expect(runs).toEqual([0, 1, 2, 3].map((stage) => (stage <= durable ? 0 : BATCHES)));
        expect(valuesOf(range.committed)).toEqual(EXPECTED);
        // Over both attempts each checkpoint is durable once: none that was there is written again.
        expect(range.saves).toEqual(savedBy(policy));
      });
    }
  }

  test('at one place after the other costs each completed stage one run in all', async () => {
    const range = new RangeTwin(INPUT);
    const total = [0, 0, 0, 0];
    for (const stage of [0, 1, 2, 3]) {
      const runs = await attempt(range, 'every-stage', { at: 'after-save', stage });
      runs.forEach((count, at) => {
        total[at] = (total[at] ?? 0) + count;
      });
    }
    expect(total).toEqual([BATCHES, BATCHES, BATCHES, BATCHES]);
    expect(await attempt(range, 'every-stage')).toEqual([0, 0, 0, 0]);
    expect(valuesOf(range.committed)).toEqual(EXPECTED);
  });
});

describe('a run without crashes', () => {
  test('gives the same with every policy, and writes the checkpoints of its policy', async () => {
    for (const policy of POLICIES) {
      const range = new RangeTwin(INPUT);
      expect(await attempt(range, policy)).toEqual([BATCHES, BATCHES, BATCHES, BATCHES]);
      expect(valuesOf(range.committed)).toEqual(EXPECTED);
      expect(range.saves).toEqual(savedBy(policy));
    }
  });

  test('holds one batch at a time, however many there are', async () => {
    for (const policy of POLICIES) {
      const range = new RangeTwin(Array.from({ length: 50 }, () => batchOf([1])));
      await attempt(range, policy);
      expect(range.inFlightMax).toBe(1);
    }
  });

  test('of a range without rows emits nothing and is done', async () => {
    const range = new RangeTwin([]);
    await attempt(range, 'every-stage');
    expect(range.committed).toEqual([]);
    expect(range.saves).toEqual([0, 1, 2, 3]);
  });

  test('passes on nothing where a stage gives null', async () => {
    const range = new RangeTwin(INPUT);
    const odd = (batch: RecordBatch) => (valuesOf([batch])![0]![0]! % 2 === 1 ? batch : null);
    await new (pipeline('odd').stage('odd', odd))().work(range.task(null));
    expect(valuesOf(range.committed)).toEqual([
      [1, 11],
      [3, 13],
    ]);
  });

  test('may have a source of its own', async () => {
    const range = new RangeTwin(INPUT);
    const source = async function* ({ start, end }: BatchTask) {
      yield batchOf([start, end]);
    };
    await new (pipeline('own', { source }).stage('same', (batch) => batch))().work(range.task(null));
    expect(valuesOf(range.committed)).toEqual([[0, 10]]);
  });
});

describe('stopping', () => {
  test('ends a run between two batches, with the reason of the signal and nothing acknowledged', async () => {
    const range = new RangeTwin(INPUT);
    let runs = 0;
    const type = pipeline('stopped').stage('stage', (batch) => {
      runs++;
      range.abort.abort(new Error('the lease is lost'));
      return batch;
    });
    await expect(new type().work(range.task(null))).rejects.toThrow('the lease is lost');
    expect(runs).toBe(1);
    expect(range.committed).toBe(null);
    expect(range.checkpointStage).toBe(null);
  });
});

describe('other code', () => {
  test('does not go on from a checkpoint: the range begins at the first stage, and the log says so', async () => {
    const range = new RangeTwin(INPUT);
    await attempt(range, 'every-stage', { at: 'after-save', stage: 2 });
    range.codeHash = 'code-2';
    expect(await attempt(range, 'every-stage')).toEqual([BATCHES, BATCHES, BATCHES, BATCHES]);
    expect(range.log).toEqual([
      'pipeline numbers: the checkpoint behind stage 3 is of other code; the range begins anew',
    ]);
    expect(valuesOf(range.committed)).toEqual(EXPECTED);
  });

  test('the same code says that it goes on', async () => {
    const range = new RangeTwin(INPUT);
    await attempt(range, 'every-stage', { at: 'after-save', stage: 2 });
    await attempt(range, 'every-stage');
    expect(range.log).toEqual(['pipeline numbers: goes on from the checkpoint behind stage 3, "stage-2"']);
  });

  test('has another fingerprint, whatever was changed', () => {
    const output = new Schema([new Field('a', new Int32(), true)]);
    const stage = { name: 'a', version: null, output };
    const second = { name: 'b', version: null, output: null };
    const fingerprints = [
      pipelineFingerprint('p', [stage, second], 'code'),
      pipelineFingerprint('q', [stage, second], 'code'),
      pipelineFingerprint('p', [stage, second], 'other'),
      pipelineFingerprint('p', [second, stage], 'code'),
      pipelineFingerprint('p', [stage], 'code'),
      pipelineFingerprint('p', [{ ...stage, name: 'c' }, second], 'code'),
      pipelineFingerprint('p', [{ ...stage, version: '2' }, second], 'code'),
      pipelineFingerprint('p', [{ ...stage, output: new Schema([new Field('a', new Int64(), true)]) }, second], 'code'),
      pipelineFingerprint(
        'p',
        [{ ...stage, output: new Schema([new Field('a', new Int32(), false)]) }, second],
        'code',
      ),
      pipelineFingerprint('p', [{ ...stage, output: null }, second], 'code'),
    ];
    expect(new Set(fingerprints).size).toBe(fingerprints.length);
    expect(pipelineFingerprint('p', [stage, second], 'code')).toBe(fingerprints[0]);
    expect(fingerprints[0]).toMatch(/^[0-9a-f]{32}$/);
  });
});

describe('the plan', () => {
  const policies = fc.oneof(
    fc.constantFrom<CheckpointPolicy>('every-stage', 'none'),
    fc.integer({ min: 1, max: 9 }).map((everyN): CheckpointPolicy => ({ everyN })),
  );

  test('tiles the stages that are left, and a run that resumes saves where the whole run would', () => {
    fc.assert(
      fc.property(policies, fc.integer({ min: 1, max: 20 }), fc.nat({ max: 20 }), (policy, count, begin) => {
        const from = Math.min(begin, count);
        const segments = planSegments(count, policy, from);
        const stages = segments.flatMap((segment) =>
          Array.from({ length: segment.to - segment.from }, (_, at) => segment.from + at),
        );
        expect(stages).toEqual(Array.from({ length: count - from }, (_, at) => from + at));
        const saves = (all: typeof segments) => all.filter((each) => each.saves).map((each) => each.to);
        expect(saves(segments)).toEqual(saves(planSegments(count, policy, 0)).filter((to) => to > from));
      }),
      { seed: 1 },
    );
  });

  test('goes on behind the last checkpoint of its own code among many', () => {
    const found = [
      { stage: 1, fingerprint: 'mine' },
      { stage: 2, fingerprint: 'mine' },
      { stage: 3, fingerprint: 'theirs' },
      { stage: 0, fingerprint: 'mine' },
      { stage: 9, fingerprint: 'mine' },
    ];
    const resume = resumePoint(4, 'mine', found);
    expect(resume.from).toBe(3);
    expect(resume.checkpoint).toBe(found[1]);
    expect(resume.foreign).toEqual([found[2], found[4]]);
    expect(resumePoint(4, 'new', found).from).toBe(0);
    expect(resumePoint(4, 'mine', []).from).toBe(0);
  });
});

describe('what is wrong', () => {
  const same = (batch: RecordBatch) => batch;

  test('with a description is said at once', () => {
    expect(() => pipeline('')).toThrow(/BAD_PIPELINE: a pipeline needs a name/);
    expect(() => pipeline('p').stage('', same)).toThrow(/a stage needs a name/);
    expect(() => pipeline('p').stage('a', same).stage('a', same)).toThrow(/two stages are called "a"/);
    for (const everyN of [0, -1, 1.5]) expect(() => pipeline('p').checkpoints({ everyN })).toThrow(/positive integer/);
  });

  test('a pipeline without stages fails its task', async () => {
    const work = async () => new (pipeline('p'))().work(new RangeTwin(INPUT).task(null));
    await expect(work()).rejects.toThrow(/pipeline p: it has no stages/);
  });

  test('a stage that gives another schema than it declares, or than before, is named with both', async () => {
    const wide = tableFromArrays({ value: BigInt64Array.from([1n]) }).batches[0]!;
    const declared = pipeline('p').stage('a', () => wide, { output: INPUT[0]!.schema });
    await expect(new declared().work(new RangeTwin(INPUT).task(null))).rejects.toThrow(
      /stage "a" gave \(value: Int64.*\) and declares \(value: Int32.*\)/,
    );
    let first = true;
    const changing = pipeline('p').stage('a', (batch) => {
      if (!first) return wide;
      first = false;
      return batch;
    });
    await expect(new changing().work(new RangeTwin(INPUT).task(null))).rejects.toThrow(
      /stage "a" gave \(value: Int64.*\) and gave before \(value: Int32.*\)/,
    );
  });

  test('a store that does not keep what it said it kept is found out', async () => {
    const range = new RangeTwin(INPUT);
    const task = range.task(null);
    const forgetful = {
      ...task,
      checkpoint: {
        load: () => task.checkpoint.load(),
        save: async (stage: number, fingerprint: string, batches: AsyncIterable<RecordBatch>) => {
          await task.checkpoint.save(stage, fingerprint, batches);
          range.forgetCheckpoint();
        },
      },
    };
    await expect(new (pipeline('p').stage('a', same))().work(forgetful)).rejects.toThrow(/was saved and is not there/);
  });
});

test('every step of a chain is a class that can be exported as a job type', () => {
  const first = pipeline('p', { metadata: { type: 'object', required: ['from'] } }).stage('a', (batch) => batch);
  const second = first.stage('b', (batch) => batch);
  for (const type of [first, second, second.checkpoints('none')]) {
    expect(exportedClass({ type }).kind).toBe('pipeline');
    expect(type.metadata).toEqual({ type: 'object', required: ['from'] });
    expect(type.deliveries).toEqual(['at-least-once']);
  }
  expect(first).not.toBe(second);
});
