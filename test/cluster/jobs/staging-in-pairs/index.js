/** A checkpoint behind every second stage. */
import { chained } from '../staging/chained.js';

export const StagingInPairs = chained('staging-in-pairs').checkpoints({ everyN: 2 });
