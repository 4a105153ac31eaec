/** Takes points up to metadata.at, and then does what metadata.how says. */
import { spawn, spawnSync } from 'node:child_process';

const deeds = {
  throw() {
    throw new Error('no such user');
  },
  uncaught() {
    setImmediate(() => {
      throw new Error('nobody catches this');
    });
    return new Promise(() => {});
  },
  async straggle(task) {
    await new Promise((resolve) => {
      setInterval(() => {
        task.log('still at work');
        resolve();
      }, 1);
    });
    throw new Error('half of it failed');
  },
  chat(task) {
    for (let line = 0; line < task.metadata.lines; line += 1) task.log(`line ${line}`);
  },
  exit() {
    process.exit(3);
  },
  kill() {
    process.kill(process.pid, 'SIGKILL');
    return new Promise(() => {});
  },
  stop() {
    process.kill(process.pid, 'SIGSTOP');
    return new Promise(() => {});
  },
  loop() {
    for (;;);
  },
  'system-call'() {
    spawnSync('sleep', ['1000']);
  },
  deaf() {
    return new Promise(() => {});
  },
  heed(task) {
    return new Promise((_, reject) => {
      task.signal.addEventListener('abort', () => reject(task.signal.reason));
    });
  },
  heap() {
    const hoard = [];
    for (;;) hoard.push(new Array(100_000).fill(hoard.length));
  },
  buffers() {
    const hoard = [];
    for (let index = 0; index < 32; index += 1) hoard.push(Buffer.alloc(64 * 1024 * 1024, 1));
    return new Promise((resolve) => setTimeout(resolve, 1_000_000, hoard));
  },
  child(task) {
    const child = spawn('sleep', ['1000'], { stdio: 'ignore' });
    task.log(`child ${child.pid}`);
    return new Promise(() => {});
  },
};

export class Misbehave {
  async work(task) {
    for await (const point of task.points()) {
      if (point !== task.metadata.at) continue;
      task.log(`now at ${point}`);
      await deeds[task.metadata.how](task);
    }
  }
}
