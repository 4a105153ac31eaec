/** Kills the process it runs in. */
export class Killing {
  async work(task) {
    for await (const point of task.points()) {
      task.log(`about to kill process ${process.pid} at ${point}`);
      process.kill(process.pid, 'SIGKILL');
    }
  }
}
