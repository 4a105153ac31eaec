/** Says each point that it is given, and does nothing with it. */
export class Count {
  static metadata = { type: 'object' };

  async work(task) {
    for await (const point of task.points()) if (task.metadata.say) task.log(`point ${point}`);
    task.log(task.signal.aborted ? 'stopped' : 'reached the end');
  }
}
