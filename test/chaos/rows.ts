/**
 * A row of the chaos test for tests of what is made of rows.
 */
import type { Row } from '../../chaos/row.ts';

export function rowWith(changes: Partial<Row> = {}): Row {
  return {
    ...{ length: 1_000, mode: 'kill', delivery: 'at-least-once', sink: 'redis', nemeses: [], commitEvery: 1 },
    ...{
      kills: 12,
      leaderKills: 0,
      strikes: 15,
      missing: 0,
      duplicates: 3,
      extraExecutions: 4,
      uncertain: 0,
      longestGapMs: 1_234,
    },
    ...{ regrantMsP99: 640, seconds: 31.4, broken: [] },
    ...changes,
  };
}
