/** Acknowledges its first point and then rests until it must stop. */
export class Resting {
  async work(task) {
    for await (const _point of task.points()) {
      task.acknowledge();
      await new Promise((resolve) => task.signal.addEventListener('abort', resolve, { once: true }));
    }
  }
}
