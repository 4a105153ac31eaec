/** A Client that does nothing, and a Master that does what the metadata says. */
const deeds = {
  throw() {
    throw new Error('the mail server is away');
  },
  hang() {
    return new Promise(() => {});
  },
  exit() {
    process.exit(4);
  },
  kill() {
    process.kill(process.pid, 'SIGKILL');
    return new Promise(() => {});
  },
};

export class Overseen {
  async work(task) {
    for await (const _ of task.points());
  }
}

export class Overseer {
  calls = 0;

  async onProgress(job) {
    this.calls += 1;
    job.log(`progress ${this.calls}: ${JSON.stringify(job)}`);
    await deeds[job.metadata.how]?.();
  }

  onComplete({ id, run, state, key, log }) {
    log(`complete ${JSON.stringify({ id, run, state, key })}`);
  }
}
