/** Can be described, and cannot be run. */
import { isMainThread } from 'node:worker_threads';

if (!isMainThread) throw new Error('no threads, please');

export class Broken {
  async work() {}
}
