/**
 * Stripe: every so many seeds of a campaign, in a process of their own. `stripe.ts FROM END STEP` runs FROM, FROM + STEP
 * and so on below END, and says each result as one line. For campaign.ts only.
 */
import { encodeResult } from './campaign.ts';
import { runSeed } from './run.ts';

const [from = 0, end = 0, step = 1] = process.argv.slice(2).map(Number);
for (let seed = from; seed < end; seed += step) process.stdout.write(`${encodeResult(runSeed(seed))}\n`);
