/**
 * A Client that emits each of its points, in its own time, and a Master that writes down which ones it collected, in the order
 * of their coming. Once for ever, it kills its host between a collect and the fold of it.
 */
import { existsSync, writeFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { tableFromArrays } from 'apache-arrow';

export class Tallied {
  async work(task) {
    for await (const { start, end } of task.chunks(5)) {
      await sleep(task.metadata.intervalMs);
      await task.emit(tableFromArrays({ point: Float64Array.from({ length: end - start }, (_, at) => start + at) }));
    }
  }
}

export class Tally {
  ordered = true;
  points = [];

  collect(batch, { start, metadata }) {
    this.points.push(...batch.getChild('point'));
    if (start < metadata.trapFrom || existsSync(metadata.trap)) return;
    writeFileSync(metadata.trap, String(process.pid));
    process.kill(process.pid, 'SIGKILL');
    return new Promise(() => {});
  }

  state() {
    return tableFromArrays({ point: Float64Array.from(this.points) });
  }

  restore(batches) {
    for (const batch of batches) this.points.push(...batch.getChild('point'));
  }

  finish() {
    return this.state();
  }
}
