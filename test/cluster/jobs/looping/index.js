/** Never gives its thread back, and hears no signal. */
export class Looping {
  async work(task) {
    for await (const point of task.points()) for (; point >= 0; );
  }
}
