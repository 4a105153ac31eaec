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

  it('a worker that is killed for good, and then the leader too, leave a job that finishes', () => {
    for (const seed of SEEDS) {
      const scenario = new Scenario({ seed, workerSlots: [1, 1] });
      const { world } = scenario;
      const leader = scenario.untilLeader();
      scenario.untilJoined();
      const job = scenario.submit({ points: 2_000, pointMs: 5, taskSize: 100, commitEvery: 10 });
      scenario.until('w1 works', () => scenario.leasesOf('w1').length > 0);
      world.crash('w1');
      scenario.run(100);
      world.crash(leader);
      scenario.untilState(job, 'done');
      expect(world.auditor.ledger.missing(job, 0, 2_000)).toBeNull();
    }
  });
});

describe('what is said of a running job is in force within a second', () => {
  const SOON_MS = 1_000;

  function atWork(seed: number, tasksMax?: number) {
    const scenario = new Scenario({ seed, workerSlots: [2, 2] });
    scenario.untilLeader();
    scenario.untilJoined();
    const job = scenario.submit({
      points: 100_000,
      pointMs: 10,
      taskSize: 5_000,
      ...(tasksMax === undefined ? {} : { tasksMax }),
    });
    const live = () => leases(scenario).filter((lease) => lease.job === job && lease.endedAt === null).length;
    scenario.until('its tasks run', () => live() === (tasksMax ?? 4));
    return { scenario, job, live };
  }

  it('pause ends all its leases, and resume gives them out again', () => {
    for (const seed of SEEDS) {
      const { scenario, job, live } = atWork(seed);
      scenario.client.control(job, 'pause');
      scenario.until('no lease is left', () => live() === 0, SOON_MS);
      scenario.client.control(job, 'resume');
      scenario.until('it works again', () => live() === 4, SOON_MS);
    }
  });

  it('cancel ends it', () => {
    for (const seed of SEEDS) {
      const { scenario, job, live } = atWork(seed);
      scenario.client.control(job, 'cancel');
      scenario.until('it is over', () => live() === 0, SOON_MS);
      scenario.untilState(job, 'cancelled', SOON_MS);
    }
  });

  it('fewer tasks at a time are fewer, and more are more', () => {
    for (const seed of SEEDS) {
      const { scenario, job, live } = atWork(seed);
      scenario.client.set(job, { maxConcurrency: 1 });
      scenario.until('one task is left', () => live() === 1, SOON_MS);
      scenario.client.set(job, { maxConcurrency: 3 });
      scenario.until('three run', () => live() === 3, SOON_MS);
    }
  });

  it('a rate holds for what was given out before it, too', () => {
    for (const seed of SEEDS) {
      const { scenario, job } = atWork(seed);
      scenario.client.set(job, { pointsPerSecond: 10 });
      scenario.run(SOON_MS);
      const { ledger } = scenario.world.auditor;
      const before = ledger.executions;
      scenario.run(10_000);
      // Ten seconds of it, and the one in reserve.
      expect(ledger.executions - before).toBeLessThanOrEqual(110);
      expect(ledger.executions - before).toBeGreaterThan(50);
    }
  });

  it('a higher priority gets every slot that falls free', () => {
    for (const seed of SEEDS) {
      const scenario = new Scenario({ seed, workerSlots: [2, 2] });
      scenario.untilLeader();
      scenario.untilJoined();
      const first = scenario.submit({ points: 100_000, pointMs: 5, taskSize: 40 });
      const second = scenario.submit({ points: 100_000, pointMs: 5, taskSize: 40 });
      const live = (job: string) => leases(scenario).filter((one) => one.job === job && one.endedAt === null).length;
      scenario.until('both run', () => live(first) > 0 && live(second) > 0);
      scenario.client.set(second, { priority: 1 });
      scenario.until('the first has no slot left', () => live(first) === 0 && live(second) === 4, SOON_MS);
    }
  });

  it('a weight shares the slots anew', () => {
    for (const seed of SEEDS) {
      const scenario = new Scenario({ seed, workerSlots: [2, 2] });
      scenario.untilLeader();
      scenario.untilJoined();
      const first = scenario.submit({ points: 100_000, pointMs: 5, taskSize: 40 });
      const second = scenario.submit({ points: 100_000, pointMs: 5, taskSize: 40 });
      const live = (job: string) => leases(scenario).filter((one) => one.job === job && one.endedAt === null).length;
      scenario.until('two and two', () => live(first) === 2 && live(second) === 2);
      scenario.client.set(second, { weight: 3 });
      scenario.until('one and three', () => live(first) === 1 && live(second) === 3, SOON_MS);
    }
  });
});
