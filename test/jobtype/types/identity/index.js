/** Says where it runs. */
import { getPriority } from 'node:os';

export class Identity {
  async work(task) {
    const { job, start, end, epoch, attempts, worker, metadata } = task;
    for await (const _ of task.points());
    const headers = task.headers(7);
    const { pid } = process;
    const nice = getPriority();
    task.log(JSON.stringify({ job, start, end, epoch, attempts, worker, metadata, headers, pid, nice }));
  }
}
