/** Holds 2 GiB outside of the heap, where no heap limit sees it; every page is touched. */
const MIB = 1024 * 1024;

export class Hoarding {
  async work(task) {
    for await (const point of task.points()) {
      const hoard = [];
      for (let count = 0; count < 32; count += 1) hoard.push(Buffer.alloc(64 * MIB, 1));
      task.log(`holds ${hoard.length} buffers at ${point}`);
      await new Promise((resolve) => task.signal.addEventListener('abort', () => resolve(hoard)));
    }
  }
}
