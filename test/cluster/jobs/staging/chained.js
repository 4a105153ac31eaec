/**
 * Four stages that write down each time they begin and end. Every range has a trap of its own, in front of the work of a stage
 * or behind it: whoever comes there first waits in it for ever.
 */
import { appendFileSync, existsSync, writeFileSync } from 'node:fs';
import { pipeline } from 'polarisd';

function stage(number) {
  return async (batch, { task }) => {
    await trap(task, number, 'before');
    appendFileSync(task.metadata.file, `${task.start} ${number} ${task.worker}\n`);
    await trap(task, number, 'after');
    return batch;
  };
}

/** Of ranges of one point: point 2 s stands before the work of stage s, and point 2 s + 1 behind it. */
async function trap({ start, metadata }, number, when) {
  if (start !== 2 * number + (when === 'before' ? 0 : 1)) return;
  const sprung = `${metadata.trap}-${start}`;
  if (existsSync(sprung)) return;
  writeFileSync(sprung, '');
  await new Promise((resolve) => setTimeout(resolve, 2 ** 31 - 1));
}

/** @param {string} name */
export const chained = (name) =>
  [0, 1, 2, 3].reduce((chain, number) => chain.stage(`stage ${number}`, stage(number)), pipeline(name));
