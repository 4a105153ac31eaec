/**
 * Snapshots on their way, and what becomes of a table that went its own: in the whole cluster, in virtual time.
 */
import { describe, expect, it } from 'vitest';
import { must } from '../../src/base/assert.ts';
import { SNAPSHOT_STUCK_MS } from '../../src/base/limits.ts';
import type { NodeId } from '../../src/base/types.ts';
import { divergedTable, Scenario } from './scenario.ts';
import { FAIR_LINK } from './weather.ts';

const SEEDS = [1, 2, 3];

/** A follower that was away for so long that only a snapshot helps, and a line on which that takes seconds. */
function returned(seed: number): { scenario: Scenario; leader: NodeId; follower: NodeId } {
  const rhythm = { snapshotEveryEntries: 50, logTailEntries: 0, snapshotChunkBytes: 20 };
  const scenario = new Scenario({ seed, workerSlots: [2], rhythm });
  const { world } = scenario;
  const leader = scenario.untilLeader();
  scenario.untilJoined();
  const follower = must(
    ['n1', 'n2', 'n3'].find((id) => id !== leader),
    'a follower',
  );
  world.crash(follower);
  const job = scenario.submit({ points: 5_000, pointMs: 1, taskSize: 50 });
  scenario.untilState(job, 'done');
  world.weather.options = { ...FAIR_LINK, bulkMsPerKib: 3_000 };
  world.boot(follower);
  scenario.until('a transfer is under way', () => count(scenario, 'snapshot chunk') > 2);
  return { scenario, leader, follower };
}

function count(scenario: Scenario, kind: string): number {
  return scenario.world.trace.counts.get(kind) ?? 0;
}

function caughtUp(scenario: Scenario, id: NodeId): void {
  const { world } = scenario;
  scenario.until(`${id} has caught up`, () => {
    const applied = world.node(id).node?.replica?.table.appliedIndex;
    return applied === world.auditor.table.appliedIndex;
  });
}

describe('a snapshot on its way through the cluster', () => {
  it('takes several chunks, and puts the follower on', () => {
    for (const seed of SEEDS) {
      const { scenario, follower } = returned(seed);
      caughtUp(scenario, follower);
      expect(count(scenario, 'snapshot received')).toBe(1);
      expect(count(scenario, 'snapshot chunk')).toBeGreaterThan(5);
      expect(count(scenario, 'snapshot resumed')).toBe(0);
    }
  });

  it('is resumed after a broken connection', () => {
    for (const seed of SEEDS) {
      const { scenario, leader, follower } = returned(seed);
      scenario.run(300);
      scenario.world.network.cut(leader, follower);
      caughtUp(scenario, follower);
      expect(count(scenario, 'snapshot resumed')).toBeGreaterThan(0);
      expect(count(scenario, 'snapshot received')).toBe(1);
    }
  });

  it('is given up when the follower is cut off, and sent again when it is back', () => {
    for (const seed of SEEDS) {
      const { scenario, follower } = returned(seed);
      scenario.isolate(follower);
      scenario.until('the transfer is given up', () => count(scenario, 'snapshot gave up') > 0, 2 * SNAPSHOT_STUCK_MS);
      scenario.heal();
      caughtUp(scenario, follower);
      expect(count(scenario, 'snapshot received')).toBe(1);
    }
  });

  it('goes on, or begins anew, with the next leader when its own is killed', () => {
    for (const seed of SEEDS) {
      const { scenario, leader, follower } = returned(seed);
      scenario.run(300);
      scenario.world.crash(leader);
      caughtUp(scenario, follower);
      expect(count(scenario, 'snapshot resumed') + count(scenario, 'snapshot replaced')).toBeGreaterThan(0);
    }
  });

  it('holds no commit back while it crawls', () => {
    const { scenario } = returned(1);
    const { auditor } = scenario.world;
    const before = auditor.table.appliedIndex;
    scenario.submit({ points: 500, pointMs: 1, taskSize: 50 });
    scenario.run(500);
    expect(auditor.table.appliedIndex).toBeGreaterThan(before + 5);
    expect(count(scenario, 'snapshot received')).toBe(0);
  });
});

describe('a table that went its own way', () => {
  it('stops its node, for the majority has another one', () => {
    for (const seed of SEEDS) {
      const { scenario, victim } = divergedTable(seed);
      expect(scenario.world.failure).toContain('STATE_DIVERGED');
      expect(scenario.world.endings).toEqual([{ id: victim, code: 'STATE_DIVERGED' }]);
    }
  });

  it('is unknown where all apply the same', () => {
    const scenario = new Scenario({ seed: 1, workerSlots: [2], rhythm: { stateHashEveryEntries: 20 } });
    scenario.untilLeader();
    scenario.untilJoined();
    scenario.untilState(scenario.submit({ points: 2_000, pointMs: 5, taskSize: 50 }), 'done');
    expect(count(scenario, 'state hash said')).toBeGreaterThan(12);
    expect(count(scenario, 'log state-differs')).toBe(0);
  });
});
