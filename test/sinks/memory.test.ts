/**
 * The twin in memory, and the proof that the suite sees what it is for: fences that are wrong do not pass it.
 */
import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { MemorySink } from '../../src/sinks/memory.ts';
import { fenceByEpochAlone, fenceByJob, fenceByStart } from './broken-fences.ts';
import { testSink } from './conformance.ts';
import { checkSchedule, type SinkUnderTest, schedules } from './foreman.ts';

const RUNS = 500;

describe('in memory', () => {
  testSink(() => ({ make: async () => inMemory(), runs: RUNS }));
});

function inMemory(): SinkUnderTest {
  const sink = new MemorySink<string>();
  return {
    sink,
    effects: async () => sink.effects.map(({ value }) => value),
    segments: async () => sink.segments.length,
    finishedSegmentsMax: 1,
  };
}

describe('a fence that is wrong is found', () => {
  async function complaint(make: () => SinkUnderTest): Promise<string> {
    const property = fc.asyncProperty(schedules, (schedule) => checkSchedule(make(), schedule));
    const details = await fc.check(property, { numRuns: RUNS });
    return details.failed ? String(details.errorInstance) : 'nothing was found';
  }

  test('by the job alone: a worker that holds a live lease is refused as soon as another one opens', async () => {
    expect(await complaint(fenceByJob)).toMatch(/holds \[.*\) and was refused/);
  });

  test('by the start of the task alone: the same points under another start take effect again', async () => {
    expect(await complaint(fenceByStart)).toMatch(/took effect 2 times|which epoch \d+ had opened/);
  });

  test('by the epoch alone, without a cursor: a repeated push takes effect again', async () => {
    expect(await complaint(fenceByEpochAlone)).toMatch(/took effect [2-9] times/);
  });
});
