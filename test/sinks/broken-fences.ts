/**
 * Fences as one would first think of them, each wrong. They are here to be found.
 */
import type { Epoch, Point, Range } from '../../src/base/types.ts';
import { staleEpoch } from '../../src/sinks/fence.ts';
import type { FencedTask } from '../../src/sinks/types.ts';
import type { SinkUnderTest } from './foreman.ts';

/** One epoch for a whole job: the newest that was seen. */
export function fenceByJob(): SinkUnderTest {
  let newest: Epoch = 0;
  const done = new Set<Point>();
  return broken((_, epoch) => {
    if (epoch < newest) throw staleEpoch(epoch, newest);
    newest = epoch;
    return (point) => {
      if (epoch !== newest) throw staleEpoch(epoch, newest);
      return fresh(done, point);
    };
  });
}

/** Epoch and cursor for each start of a task. */
export function fenceByStart(): SinkUnderTest {
  const tasks = new Map<Point, { epoch: Epoch; readonly done: Set<Point> }>();
  return broken(({ start }, epoch) => {
    const task = tasks.get(start) ?? { epoch, done: new Set() };
    if (task.epoch > epoch) throw staleEpoch(epoch, task.epoch);
    task.epoch = epoch;
    tasks.set(start, task);
    return (point) => {
      if (task.epoch !== epoch) throw staleEpoch(epoch, task.epoch);
      return fresh(task.done, point);
    };
  });
}

/** The right epoch for each point, and no memory of what was done. */
export function fenceByEpochAlone(): SinkUnderTest {
  const epochs = new Map<Point, Epoch>();
  return broken(({ start, end }, epoch) => {
    for (let point = start; point < end; point++) {
      const holder = epochs.get(point) ?? 0;
      if (holder > epoch) throw staleEpoch(epoch, holder);
      epochs.set(point, epoch);
    }
    return (point) => {
      const holder = epochs.get(point);
      if (holder !== epoch) throw staleEpoch(epoch, holder ?? 0);
      return true;
    };
  });
}

function fresh(done: Set<Point>, point: Point): boolean {
  if (done.has(point)) return false;
  done.add(point);
  return true;
}

/** `open` gives the judge of its points: whether one takes effect. */
function broken(open: (range: Range, epoch: Epoch) => (point: Point) => boolean): SinkUnderTest {
  const effects: string[] = [];
  function task(range: Range, epoch: Epoch): FencedTask<string> {
    const judge = open(range, epoch);
    const pushMany = async (first: Point, values: readonly string[]) => {
      const taken = values.filter((_, offset) => judge(first + offset));
      effects.push(...taken);
      return taken.length;
    };
    return {
      done: [],
      pushMany,
      push: async (point, value) => ((await pushMany(point, [value])) === 1 ? 'pushed' : 'already-done'),
    };
  }
  const sink = { open: async (range: Range, epoch: Epoch) => task(range, epoch), drop: async () => {} };
  return { sink, effects: async () => effects, segments: async () => 0, finishedSegmentsMax: 0 };
}
