/** A row becomes 33 MiB in the first of two stages, and goes through the second as it is. */
import { tableFromArrays } from 'apache-arrow';
import { pipeline } from 'polarisd';

const NUMBERS = (33 * 1024 * 1024) / 8;

export const Growing = pipeline('growing')
  .stage('grow', (batch) => {
    const row = batch.getChild('n').get(0);
    return tableFromArrays({ n: new Float64Array(NUMBERS).fill(Number(row)) }).batches[0];
  })
  .stage('pass', (batch) => batch);
