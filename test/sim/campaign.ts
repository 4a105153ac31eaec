/**
 * Campaign: many seeds in a row, and what fired in them.
 *
 * A campaign in which some kind of fault, or some rare branch, never fired has not tested what it says; `unfired` names
 * those, and the tests fail on them.
 */
import { type RunResult, runSeed } from './run.ts';

/** What every campaign of a few hundred seeds must meet. */
export const MUST_FIRE = [
  'fault crash',
  'fault crashLeader',
  'fault powerCut',
  'fault drain',
  'fault pause',
  'fault partition',
  'fault cut',
  'fault diskFailure',
  'fault hostCrash',
  'fault wallJump',
  'partition split',
  'partition isolate',
  'partition one-way',
  'message lost',
  'message doubled',
  'message into partition',
  'message of a broken connection',
  'probe refused',
  'probe open',
  'probe unknown',
  'applied worker-expire',
  'applied worker-suspect',
  'applied worker-heard',
  'applied release',
  'applied fail',
  'attempt ended by the deadline',
  'points repeated',
  'snapshot sent',
  'snapshot chunk',
  'snapshot resumed',
  'snapshot replaced',
  'snapshot gave up',
  'bulk connection broken',
  'state hash said',
  'task expired',
  'task cancelled',
  'job done',
  'job failed',
  'job paused',
  'job cancelled',
  'submit unknown',
  'read refused',
  'hashes compared',
] as const;

export interface CampaignResult {
  readonly seedCount: number;
  readonly failures: readonly RunResult[];
  readonly virtualMs: number;
  readonly eventCount: number;
  readonly counts: ReadonlyMap<string, number>;
}

export interface CampaignOptions {
  readonly seeds: Iterable<number>;
  /** The campaign ends at so many failures. */
  readonly failuresMax: number;
  readonly progress?: (soFar: CampaignResult) => void;
}

export function runCampaign(options: CampaignOptions): CampaignResult {
  const counts = new Map<string, number>();
  const failures: RunResult[] = [];
  let result: CampaignResult = { seedCount: 0, failures, virtualMs: 0, eventCount: 0, counts };
  for (const seed of options.seeds) {
    const one = runSeed(seed);
    for (const [kind, count] of one.counts) counts.set(kind, (counts.get(kind) ?? 0) + count);
    if (!one.ok) failures.push(one);
    result = {
      ...result,
      seedCount: result.seedCount + 1,
      virtualMs: result.virtualMs + one.virtualMs,
      eventCount: result.eventCount + one.eventCount,
    };
    options.progress?.(result);
    if (failures.length >= options.failuresMax) break;
  }
  return result;
}

export function unfired(counts: ReadonlyMap<string, number>): string[] {
  return MUST_FIRE.filter((kind) => (counts.get(kind) ?? 0) === 0);
}

/** How often each kind fired, in columns. */
export function countsText(counts: ReadonlyMap<string, number>): string {
  const rows = [...counts].filter(([kind]) => !kind.startsWith('log ')).sort(([a], [b]) => (a < b ? -1 : 1));
  return rows.map(([kind, count]) => `  ${kind.padEnd(34)} ${count}`).join('\n');
}

export function* seedsFrom(first: number, count: number): Generator<number> {
  for (let seed = first; seed < first + count; seed++) yield seed;
}
