import { randomInt } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { runCampaign, seedsFrom, unfired } from './campaign.ts';
import { runSeed } from './run.ts';

const SEED_COUNT = 200;
const FRESH_SEED_COUNT = 20;
const CAMPAIGN_TIMEOUT_MS = 600_000;

describe('the cluster in virtual time', () => {
  it(`keeps its promises through ${SEED_COUNT} seeds, and every kind of fault fires`, {
    timeout: CAMPAIGN_TIMEOUT_MS,
  }, () => {
    const result = runCampaign({ seeds: seedsFrom(1, SEED_COUNT), failuresMax: 3 });
    expect(result.failures.map((one) => one.failure)).toEqual([]);
    expect(unfired(result.counts)).toEqual([]);
  });

  it(`keeps its promises through ${FRESH_SEED_COUNT} seeds that nobody has seen`, {
    timeout: CAMPAIGN_TIMEOUT_MS,
  }, () => {
    const from = randomInt(1_000_000, 900_000_000);
    process.stdout.write(`  fresh seeds from ${from}\n`);
    const result = runCampaign({ seeds: seedsFrom(from, FRESH_SEED_COUNT), failuresMax: 3 });
    expect(result.failures.map((one) => one.failure)).toEqual([]);
  });

  it('is a function of its seed', () => {
    for (const seed of [3, 7, 11]) {
      const first = runSeed(seed);
      const second = runSeed(seed, { trace: () => {} });
      expect(second.traceHash).toBe(first.traceHash);
      expect(second.virtualMs).toBe(first.virtualMs);
    }
    expect(runSeed(3).traceHash).not.toBe(runSeed(4).traceHash);
  });
});
