/** A checkpoint behind every stage, which is the default. */
import { chained } from './chained.js';

export const Staging = chained('staging');
