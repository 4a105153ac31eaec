/** Prints metadata.lines lines on stdout at its first point, and ends its thread. */
export class Chatty {
  async work(task) {
    for await (const _ of task.points()) {
      for (let line = 0; line < task.metadata.lines; line += 1) process.stdout.write(`line ${line}\n`);
      await new Promise((resolve) => process.stdout.write('', resolve));
      process.exit(0);
    }
  }
}
