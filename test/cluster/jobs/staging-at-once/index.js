/** No checkpoint at all. */
import { chained } from '../staging/chained.js';

export const StagingAtOnce = chained('staging-at-once').checkpoints('none');
