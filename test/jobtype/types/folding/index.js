/**
 * A Client that does nothing, and a Master that writes down what it collects: where each output began, and what its numbers
 * come to. What it does beside that, the metadata says.
 */
import { existsSync, writeFileSync } from 'node:fs';
import { tableFromArrays } from 'apache-arrow';

const deeds = {
  throw() {
    throw new Error('the ledger is full');
  },
  hang() {
    return new Promise(() => {});
  },
  exit() {
    process.exit(4);
  },
  kill() {
    process.kill(process.pid, 'SIGKILL');
    return new Promise(() => {});
  },
};

export class Idle {
  async work(task) {
    for await (const _ of task.points());
  }
}

export class Folding {
  ordered = true;
  calls = [];
  starts = [];
  sums = [];
  metadata = {};

  async collect(batch, { start, end, job, metadata, log }) {
    this.metadata = metadata;
    log(`collect ${start} ${end} of ${job}`);
    await this.deed('collect', start);
    const sum = [...batch.getChild('n')].reduce((total, n) => total + Number(n), 0);
    if (this.starts.at(-1) === start) this.sums[this.sums.length - 1] += sum;
    else {
      this.starts.push(start);
      this.sums.push(sum);
    }
  }

  async state() {
    await this.deed('state', this.starts.at(-1));
    if (this.metadata.bad === 'state') return { starts: this.starts };
    if (this.starts.length === 0) return [];
    return this.table();
  }

  restore(batches) {
    this.calls.push('restore');
    for (const batch of batches) {
      this.starts.push(...batch.getChild('start'));
      this.sums.push(...batch.getChild('sum'));
    }
  }

  async *finish({ metadata }) {
    this.metadata = metadata;
    await this.deed('finish');
    if (metadata.bad === 'finish') yield 7;
    if (metadata.bad === 'none') return;
    for (const batch of this.table().batches) yield batch;
  }

  onProgress({ log }) {
    log(`progress after ${this.starts.join(' ')}`);
  }

  table() {
    return tableFromArrays({ start: Float64Array.from(this.starts), sum: Float64Array.from(this.sums) });
  }

  /** Once for ever, where it leaves a mark. */
  async deed(where, start) {
    const { at, from = 0, deed, mark } = this.metadata.how ?? {};
    if (at !== where || (start ?? from) < from) return;
    if (mark !== undefined) {
      if (existsSync(mark)) return;
      writeFileSync(mark, '');
    }
    await deeds[deed]();
  }
}
