/** Takes chunks of metadata.size and says them. */
export class Pieces {
  async work(task) {
    for await (const { start, end } of task.chunks(task.metadata.size)) task.log(`${start}-${end}`);
  }
}
