import * as fc from 'fast-check';
import { expect, test } from 'vitest';
import { MemorySink } from '../../src/sinks/memory.ts';
import { fencedPoints } from '../../src/sinks/task.ts';

const POINTS = 20;

test('fencedPoints hands out what the sink lacks, and asks Polaris for every point', async () => {
  const ranges = fc.uniqueArray(fc.nat({ max: POINTS - 1 }));
  await fc.assert(
    fc.asyncProperty(ranges, async (before) => {
      const sink = new MemorySink<number>();
      for (const [at, point] of before.entries()) {
        await (await sink.open({ start: point, end: point + 1 }, at + 1)).push(point, point);
      }
      const asked: number[] = [];
      async function* points(): AsyncGenerator<number> {
        for (let point = 0; point < POINTS; point++) {
          asked.push(point);
          yield point;
        }
      }
      const fenced = await sink.open({ start: 0, end: POINTS }, before.length + 1);
      for await (const point of fencedPoints({ points }, fenced)) {
        expect(await fenced.push(point, point)).toBe('pushed');
      }
      expect(asked).toEqual(Array.from({ length: POINTS }, (_, point) => point));
      expect(sink.effects.map(({ point }) => point).sort((left, right) => left - right)).toEqual(asked);
    }),
  );
});

test('a loop that is left early leaves its last point unacknowledged', async () => {
  let left = false;
  async function* points(): AsyncGenerator<number> {
    try {
      yield 0;
      yield 1;
    } finally {
      left = true;
    }
  }
  const fenced = await new MemorySink<number>().open({ start: 0, end: 2 }, 1);
  for await (const point of fencedPoints({ points }, fenced)) {
    expect(point).toBe(0);
    break;
  }
  expect(left).toBe(true);
});
