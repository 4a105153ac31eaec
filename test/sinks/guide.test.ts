/**
 * The ten lines of docs/guides/fenced-sinks.md that fence a store of one's own: taken from the page as they stand, and run
 * under the same schedules of lost and late workers as the sinks that come with Polaris.
 */
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import * as fc from 'fast-check';
import { expect, test } from 'vitest';
import { must } from '../../src/base/assert.ts';
import type { Point, Range } from '../../src/base/types.ts';
import { doneWithin, openRange, pushPoints, type Segments } from '../../src/sinks/fence.ts';
import type { FencedSink, FencedTask, Pushed } from '../../src/sinks/types.ts';
import { checkSchedule, type SinkUnderTest, schedules } from './foreman.ts';

const PAGE = fileURLToPath(new URL('../../docs/guides/fenced-sinks.md', import.meta.url));
const JOB = 'letters';

interface Transaction {
  get(key: string): Promise<unknown>;
  put(key: string, value: unknown): Promise<void>;
}

/** The least that a store must do: one transaction after the other, and nothing of one that throws. */
class Store {
  #values = new Map<string, unknown>();
  #last: Promise<unknown> = Promise.resolve();

  transaction<T>(run: (tx: Transaction) => Promise<T>): Promise<T> {
    const next = this.#last.then(async () => {
      const values = new Map(this.#values);
      const result = await run({
        get: async (key) => values.get(key),
        put: async (key, value) => void values.set(key, structuredClone(value)),
      });
      this.#values = values;
      return result;
    });
    this.#last = next.catch(() => {});
    return next;
  }

  read(key: string): unknown {
    return this.#values.get(key);
  }
}

interface Recipe {
  readonly open: (job: string, range: Range, epoch: number) => Promise<readonly Range[]>;
  readonly push: (job: string, point: Point, value: string, epoch: number) => Promise<void>;
}

/** @param spoil what is made of the lines first, to see that it would be found. */
function fromThePage(spoil: (lines: string) => string = (lines) => lines): SinkUnderTest {
  const blocks = readFileSync(PAGE, 'utf8').split('```ts\n').slice(1);
  const block = must(
    blocks.find((text) => text.includes('const open = (job')),
    'the page has the ten lines',
  );
  const lines = must(block.split('```')[0], 'they end').replace(/^import .*$/m, '');
  const names = ['store', 'effect', 'openRange', 'doneWithin', 'pushPoints'];
  const make = new Function(...names, `${spoil(lines)}\nreturn { open, push };`) as (...given: unknown[]) => Recipe;
  const store = new Store();
  const effect = async (tx: Transaction, point: Point, value: string): Promise<void> => {
    const effects = ((await tx.get('effects')) ?? []) as string[];
    await tx.put('effects', [...effects, value]);
    expect(typeof point).toBe('number');
  };
  const recipe = make(store, effect, openRange, doneWithin, pushPoints);
  const effects = (): readonly string[] => (store.read('effects') ?? []) as string[];
  let last: Promise<unknown> = Promise.resolve();
  const inTurn = <T>(run: () => Promise<T>): Promise<T> => {
    const next = last.then(run);
    last = next.catch(() => {});
    return next;
  };
  const sink: FencedSink<string> = {
    async open(range, epoch): Promise<FencedTask<string>> {
      const done = await recipe.open(JOB, range, epoch);
      // One at a time: the ten lines do not say whether a push had an effect, so it is seen from the effects.
      const push = (point: Point, value: string): Promise<Pushed> =>
        inTurn(async () => {
          const before = effects().length;
          await recipe.push(JOB, point, value, epoch);
          return effects().length > before ? 'pushed' : 'already-done';
        });
      const pushMany = async (first: Point, values: readonly string[]) => {
        let count = 0;
        for (const [at, value] of values.entries()) if ((await push(first + at, value)) === 'pushed') count++;
        return count;
      };
      return { done, push, pushMany };
    },
    drop: async () => {},
  };
  return {
    sink,
    effects: async () => effects(),
    segments: async () => ((store.read(JOB) ?? []) as Segments).length,
    finishedSegmentsMax: 1,
    canDrop: false,
  };
}

const property = (make: () => SinkUnderTest) =>
  fc.asyncProperty(schedules, (schedule) => checkSchedule(make(), schedule));

test('the ten lines make every point take effect exactly once', async () => {
  await fc.assert(property(fromThePage), { numRuns: 200 });
});

test('and without the cursor that is kept, or the epoch that is checked, they would not', async () => {
  const spoiled = [
    (lines: string) => lines.replace(/if \(fresh\.length > 0\) /, ''),
    (lines: string) => lines.replace(/(effect\(tx, point, value\);.*\n) +await tx\.put\(job, segments\);/, '$1'),
  ];
  for (const spoil of spoiled) {
    const { failed } = await fc.check(
      property(() => fromThePage(spoil)),
      { numRuns: 200 },
    );
    expect(failed).toBe(true);
  }
});
