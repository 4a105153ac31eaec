/**
 * The checker is checked: each broken rule must be found, and quickly.
 */
import { describe, expect, it } from 'vitest';
import { BROKEN_RULES, type BrokenRule } from './broken-rules.ts';
import { runSeed } from './run.ts';

/** What the simulator says, and how many seeds it took; null when it found nothing. */
function find(rule: BrokenRule): { finding: string; seedCount: number } | null {
  const { livenessMs } = rule;
  if (livenessMs !== undefined) expect(runSeed(rule.firstSeed ?? 1, { livenessMs }).failure).toBeNull();
  const straighten = rule.install?.();
  try {
    const { firstSeed = 1, seedsMax } = rule;
    for (let seedCount = 1; seedCount <= seedsMax; seedCount++) {
      const failure = provoke(rule, firstSeed + seedCount - 1);
      if (failure !== null) return { finding: failure, seedCount };
    }
    return null;
  } finally {
    straighten?.();
  }
}

function provoke(rule: BrokenRule, seed: number): string | null {
  if (rule.provoke !== undefined) return rule.provoke(seed);
  const { bugs, livenessMs } = rule;
  return runSeed(seed, { ...(bugs && { bugs }), ...(livenessMs && { livenessMs }) }).failure;
}

describe('broken rules are caught', () => {
  for (const rule of BROKEN_RULES) {
    it(rule.name, { timeout: 300_000 }, () => {
      const found = find(rule);
      const text = found?.finding.split('\n')[0]?.slice(0, 160);
      process.stdout.write(`  ${rule.name}: ${found === null ? 'not found' : `${found.seedCount} seeds, ${text}`}\n`);
      expect(found, `${rule.name} is not found in ${rule.seedsMax} seeds`).not.toBeNull();
    });
  }
});
