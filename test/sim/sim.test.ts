import { randomInt } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { runCampaign } from './campaign.ts';
import { SEEDS_FOR_COVERAGE, unfired } from './coverage.ts';
import { runSeed } from './run.ts';

const SEED_COUNT = 20;
const FRESH_SEED_COUNT = 5;
const CAMPAIGN_TIMEOUT_MS = 600_000;

describe('the cluster in virtual time', () => {
  it(`keeps its promises through ${SEED_COUNT} seeds`, { timeout: CAMPAIGN_TIMEOUT_MS }, async () => {
    const result = await runCampaign({ from: 1, count: SEED_COUNT, failuresMax: 3 });
    expect(result.failures.map((one) => one.failure)).toEqual([]);
    const missing = unfired(result.counts);
    process.stdout.write(`  never fired in ${SEED_COUNT} seeds: ${missing.join(', ') || 'nothing'}\n`);
    if (SEED_COUNT >= SEEDS_FOR_COVERAGE) expect(missing).toEqual([]);
  });

  it(`keeps its promises through ${FRESH_SEED_COUNT} seeds that nobody has seen`, {
    timeout: CAMPAIGN_TIMEOUT_MS,
  }, async () => {
    const from = randomInt(1_000_000, 900_000_000);
    process.stdout.write(`  fresh seeds from ${from}\n`);
    const result = await runCampaign({ from, count: FRESH_SEED_COUNT, failuresMax: 3 });
    expect(result.failures.map((one) => one.failure)).toEqual([]);
  });

  it('is a function of its seed', () => {
    for (const seed of [7, 11]) {
      const first = runSeed(seed);
      const second = runSeed(seed, { trace: () => {} });
      expect(second.traceHash).toBe(first.traceHash);
      expect(second.virtualMs).toBe(first.virtualMs);
    }
    expect(runSeed(3).traceHash).not.toBe(runSeed(4).traceHash);
  });
});
