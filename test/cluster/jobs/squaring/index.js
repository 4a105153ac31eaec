import { setTimeout as sleep } from 'node:timers/promises';
import { tableFromArrays } from 'apache-arrow';

/** Emits the square of every number of its input, after a pause. */
export class Squaring {
  async work(task) {
    for await (const { point, row } of task.rows()) {
      await sleep(task.metadata.intervalMs);
      const n = Number(row.n);
      await task.emit(tableFromArrays({ point: Int32Array.of(point), square: Float64Array.of(n * n) }));
    }
  }
}
