/** A Client that does nothing, and a Master that plans as the metadata says. */
export class Idle {
  async work(task) {
    for await (const _ of task.points());
  }
}

export class Planning {
  async plan({ id, metadata, datasets, log }) {
    log(`plan of ${id}`);
    switch (metadata.how) {
      case 'throw':
        throw new Error('no plan');
      case 'ask': {
        const rows = [];
        for (const name of metadata.names) rows.push(await datasets.rows(name));
        return { start: 0, end: rows.reduce((total, count) => total + count, 0) };
      }
      case 'kill':
        process.kill(process.pid, 'SIGKILL');
        return new Promise(() => {});
      default:
        return metadata.plan;
    }
  }
}
