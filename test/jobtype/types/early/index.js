/** Returns after metadata.take points. */
export class Early {
  async work(task) {
    let taken = 0;
    if (task.metadata.take === 0) return;
    for await (const _ of task.points()) {
      taken += 1;
      if (taken === task.metadata.take) return;
    }
  }
}
