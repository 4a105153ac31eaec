/** Commits after its third point and says when that came back. */
export class Committer {
  async work(task) {
    let taken = 0;
    for await (const point of task.points()) {
      taken += 1;
      if (taken !== 3) continue;
      await task.commit();
      task.log(`committed with ${point}`);
    }
  }
}
