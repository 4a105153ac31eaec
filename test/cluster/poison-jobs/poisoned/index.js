/** Until they are repaired one of its points throws and one kills its process. Each attempt writes down what it ran, `FIRST BEHIND`. */
import { appendFileSync, existsSync } from 'node:fs';

export class Poisoned {
  async work(task) {
    const { ran, repaired, throwing, killing } = task.metadata;
    const isRepaired = existsSync(repaired);
    let first = null;
    let behind = null;
    const writeDown = () => appendFileSync(ran, `${first} ${behind}\n`);
    for await (const point of task.points()) {
      first ??= point;
      behind = point + 1;
      if (isRepaired || (point !== throwing && point !== killing)) continue;
      writeDown();
      if (point === throwing) throw new Error(`no row ${point}`);
      process.kill(process.pid, 'SIGKILL');
    }
    writeDown();
  }
}
