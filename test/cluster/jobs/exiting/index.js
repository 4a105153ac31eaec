/** Ends its process, as some library does when it takes offence. */
export class Exiting {
  async work(task) {
    for await (const point of task.points()) {
      task.log(`about to exit at ${point}`);
      process.exit(7);
    }
  }
}
