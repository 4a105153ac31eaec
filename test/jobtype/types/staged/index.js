import { appendFileSync } from 'node:fs';
import { tableFromArrays } from 'apache-arrow';
import { pipeline } from '../../../../dist/src/index.js';

/** Four stages; each writes a line into the file of the metadata when it runs, and may kill its host. */
function stage(number) {
  return (batch, { task }) => {
    const { file, killIn, wait } = task.metadata;
    if (killIn?.stage === number && killIn.when === 'before') process.kill(process.pid, 'SIGKILL');
    appendFileSync(file, `${number}\n`);
    const values = batch
      .getChild('value')
      .toArray()
      .map((value) => value * 3 + number);
    if (killIn?.stage === number && killIn.when === 'after') process.kill(process.pid, 'SIGKILL');
    if (wait === number) return new Promise(() => setInterval(() => {}, 1_000));
    if (task.metadata.drop === number) return null;
    if (task.metadata.grow?.stage === number)
      return tableFromArrays({ value: new Int32Array(values.length * task.metadata.grow.times) }).batches[0];
    return tableFromArrays({ value: values }).batches[0];
  };
}

export const Staged = pipeline('staged')
  .stage('zero', stage(0))
  .stage('one', stage(1))
  .stage('two', stage(2))
  .stage('three', stage(3));
