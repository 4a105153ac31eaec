/** Says the rows that it is given, by whatever way the metadata names. */
export class Reads {
  async work(task) {
    const { by } = task.metadata;
    await this[by](task);
    task.log(task.signal.aborted ? 'stopped' : 'reached the end');
  }

  async rows(task) {
    for await (const { point, row } of task.rows()) task.log(`${point}=${row.value}`);
  }

  async batches(task) {
    for await (const { start, end, batch } of task.batches()) {
      task.log(`${start}-${end}: ${[...batch.getChild('value')].join(' ')}`);
    }
  }

  async input(task) {
    for await (const batch of task.input()) task.log([...batch.getChild('value')].join(' '));
    for await (const _point of task.points());
  }

  async sum(task) {
    let rows = 0;
    let sum = 0;
    for await (const { batch } of task.batches()) {
      rows += batch.numRows;
      for (const value of batch.getChild('value')) sum += value;
    }
    task.log(`${rows} rows, ${sum}`);
  }

  async first(task) {
    for await (const { point, row } of task.rows()) {
      task.log(`${point}=${row.value}`);
      break;
    }
    for await (const { point, row } of task.rows()) task.log(`${point}=${row.value}`);
  }

  async many(task) {
    const open = [];
    for (let number = 0; number < 9; number++) {
      open.push(task.input()[Symbol.asyncIterator]());
      await open.at(-1).next();
    }
  }
}
