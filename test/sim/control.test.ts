/**
 * Sharing work out, in virtual time: many at once, the last piece of a job, and workers that are sent to rest.
 */
import { describe, expect, it } from 'vitest';
import { must } from '../../src/base/assert.ts';
import { SESSION_TTL_MS_MIN } from '../../src/base/limits.ts';
import type { NodeId } from '../../src/base/types.ts';
import type { LeaseRecord } from './auditor.ts';
import { Scenario, TTL_MS } from './scenario.ts';

const SEEDS = [1, 2, 3, 4, 5, 6];
const SESSIONS = 64;
const TASKS = 10_000;
const TASK_POINTS = 2;
/** How soon after the end of a session its work is another one's. */
const HANDED_ON_MS = 250;
const AGAIN_MS = 50;

function leases(scenario: Scenario): LeaseRecord[] {
  return [...scenario.world.auditor.leases.values()];
}

/** Runs until one task is left, everything else is done and all others are idle. */
function untilLastTask(scenario: Scenario, job: string): LeaseRecord {
  const { table } = scenario.world.auditor;
  scenario.until('one task is left', () => {
    const view = must(table.job(job), 'a job');
    return view.tasks.length === 1 && view.frontier === view.spec.end && view.returned.length === 0;
  });
  return must(
    leases(scenario).find(({ endedAt }) => endedAt === null),
    'the last lease',
  );
}

function rest(scenario: Scenario, worker: NodeId, resting: boolean): void {
  let isDone = false;
  const ask = (): void => {
    scenario.client.rest(worker, resting, (code) => {
      if (code === 'ok') isDone = true;
      // Whoever was asked may be dead: the next try goes elsewhere.
      else scenario.world.scheduler.after(AGAIN_MS, ask);
    });
  };
  ask();
  scenario.until(`${worker} confirms`, () => isDone);
}

describe('work is shared out', () => {
  it(`${SESSIONS} sessions that ask at once for ${TASKS} tasks get each of them once`, { timeout: 600_000 }, () => {
    const scenario = new Scenario({ seed: 1, workerSlots: Array.from({ length: SESSIONS }, () => 1) });
    const { auditor } = scenario.world;
    const refused: string[] = [];
    auditor.onApplied(({ command, outcome }) => {
      if (outcome.kind === 'refused') refused.push(`${command?.kind}: ${outcome.detail}`);
    });
    scenario.untilLeader();
    scenario.untilJoined();
    const job = scenario.submit({ points: TASKS * TASK_POINTS, pointMs: 1, taskSize: TASK_POINTS });
    scenario.untilState(job, 'done');
    expect(refused).toEqual([]);
    const all = leases(scenario);
    expect(all.length).toBe(TASKS);
    expect(new Set(all.map(({ start }) => start)).size).toBe(TASKS);
    expect(all.every(({ start, end, endedHow }) => end - start === TASK_POINTS && endedHow === 'completed')).toBe(true);
    expect(new Set(all.map(({ worker }) => worker)).size).toBe(SESSIONS);
    expect(auditor.ledger.repetitions).toBe(0);
    expect(auditor.ledger.executions).toBe(TASKS * TASK_POINTS);
  });

  for (const oneHost of [true, false]) {
    const where = oneHost ? 'on the host of the leader' : 'on another host than the leader';
    it(`the last task of a job is granted again one TTL after its holder was killed ${where}`, () => {
      for (const seed of SEEDS) {
        // Long sessions, so that a proof of death shows; short ones where there is none.
        const sessionTtlMs = oneHost ? TTL_MS : SESSION_TTL_MS_MIN;
        const scenario = new Scenario({ seed, workerSlots: [1, 1, 1, 1], oneHost, sessionTtlMs });
        scenario.untilLeader();
        scenario.untilJoined();
        const job = scenario.submit({ points: 1_010, pointMs: 20, taskSize: 250, commitEvery: 10 });
        const lease = untilLastTask(scenario, job);
        const killedAt = scenario.world.now;
        scenario.world.crash(lease.worker);
        scenario.until('the rest is granted again', () => scenario.successorOf(lease) !== null);
        const waitedMs = must(scenario.successorOf(lease), 'a successor').grantedAt - killedAt;
        expect(waitedMs).toBeLessThanOrEqual(sessionTtlMs + HANDED_ON_MS);
        // Without a proof nobody may be taken for dead before he would have stopped by himself.
        if (!oneHost) expect(waitedMs).toBeGreaterThan((2 * sessionTtlMs) / 3);
        scenario.untilState(job, 'done');
      }
    });
  }

  it('a worker that was sent to rest gives back what it has and gets nothing, also from the next leader', () => {
    for (const seed of SEEDS) {
      const scenario = new Scenario({ seed, workerSlots: [2, 2] });
      const { world } = scenario;
      const leader = scenario.untilLeader();
      scenario.untilJoined();
      const job = scenario.submit({ points: 4_000, pointMs: 10, taskSize: 100 });
      scenario.until('w1 works', () => scenario.leasesOf('w1').length > 0);
      rest(scenario, 'w1', true);
      const restsAt = world.now;
      scenario.until('w1 holds nothing', () => scenario.leasesOf('w1').length === 0, 1_000);
      world.crash(leader);
      scenario.until('another leader', () => world.leader !== null && world.leader.id !== leader);
      scenario.run(3_000);
      const taken = leases(scenario).filter(({ worker, grantedAt }) => worker === 'w1' && grantedAt > restsAt);
      expect(taken.map(({ epoch }) => epoch)).toEqual([]);
      expect(scenario.leasesOf('w2').length).toBeGreaterThan(0);
      rest(scenario, 'w1', false);
      scenario.until('w1 works again', () => scenario.leasesOf('w1').length > 0, 1_000);
      scenario.untilState(job, 'done');
    }
  });
});
