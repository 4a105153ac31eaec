/**
 * What must happen in time, and what must not happen early: measured in virtual time, so that a slow machine changes
 * nothing.
 */
import { describe, expect, it } from 'vitest';
import { must } from '../../src/base/assert.ts';
import {
  cutOffLeader,
  deafLeader,
  echoedRunner,
  Scenario,
  silentWorker,
  spoiltDisk,
  stalledLeader,
  TTL_MS,
} from './scenario.ts';

const SEEDS = [...Array(4).keys()].map((at) => at + 1);
const ELECTION_SEEDS = [...Array(50).keys()].map((at) => at + 1);

describe('bounds in virtual time', () => {
  it('three nodes have a leader within 2 s of formation', () => {
    for (const seed of ELECTION_SEEDS) {
      const scenario = new Scenario({ seed });
      const { nodes } = scenario.world;
      scenario.until('formation', () => [...nodes.values()].every(({ node }) => node?.formation !== null));
      scenario.until(`a leader with seed ${seed}`, () => scenario.world.leader !== null, 2_000);
    }
  });

  it('after a leader is killed, the next entry is committed within 2 s', () => {
    for (const seed of ELECTION_SEEDS) {
      const scenario = new Scenario({ seed });
      const leader = scenario.untilLeader();
      scenario.run(seed * 7);
      const { auditor } = scenario.world;
      const before = auditor.table.appliedIndex;
      scenario.world.crash(leader);
      scenario.until(`a commit with seed ${seed}`, () => auditor.table.appliedIndex > before, 2_000);
    }
  });

  it('the work of a silent worker is given to another one TTL later, and not before', () => {
    for (const seed of SEEDS) {
      const scenario = new Scenario({ seed, workerSlots: [1, 2] });
      scenario.untilLeader();
      scenario.untilJoined();
      scenario.submit({ points: 2_000, pointMs: 20, taskSize: 1_000, tasksMax: 2 });
      scenario.until('w1 works', () => scenario.leasesOf('w1').length > 0);
      scenario.run(1_000 + seed * 37);
      const lease = must(scenario.leasesOf('w1')[0], 'a lease');
      const silentAt = scenario.world.now;
      scenario.isolate('w1');
      scenario.until('another lease', () => scenario.successorOf(lease) !== null);
      const waitedMs = must(scenario.successorOf(lease), 'a successor').grantedAt - silentAt;
      expect(waitedMs).toBeLessThanOrEqual(TTL_MS + 250);
      expect(waitedMs).toBeGreaterThan((2 * TTL_MS) / 3);
      scenario.run(1_000);
    }
  });

  it('a dead worker on the host of the leader is found out within 1 s', () => {
    for (const seed of SEEDS) {
      const scenario = new Scenario({ seed, workerSlots: [1, 2], oneHost: true });
      scenario.untilLeader();
      scenario.untilJoined();
      scenario.submit({ points: 2_000, pointMs: 20, taskSize: 1_000, tasksMax: 2 });
      scenario.until('w1 works', () => scenario.leasesOf('w1').length > 0);
      scenario.run(1_000 + seed * 37);
      const lease = must(scenario.leasesOf('w1')[0], 'a lease');
      const diedAt = scenario.world.now;
      scenario.world.crash('w1');
      scenario.until('another lease', () => scenario.successorOf(lease) !== null, 1_000);
      expect(must(scenario.successorOf(lease), 'a successor').grantedAt - diedAt).toBeGreaterThanOrEqual(500);
    }
  });

  it('a broken connection to a live worker takes no lease away', () => {
    for (const oneHost of [true, false]) {
      const scenario = new Scenario({ seed: 5, workerSlots: [1, 2], oneHost });
      const leader = scenario.untilLeader();
      scenario.untilJoined();
      const job = scenario.submit({ points: 600, pointMs: 20, taskSize: 300, tasksMax: 2 });
      scenario.until('w1 works', () => scenario.leasesOf('w1').length > 0);
      while (scenario.world.auditor.table.job(job)?.state === 'running') {
        scenario.world.network.cut(leader, 'w1');
        scenario.run(300);
      }
      expect(scenario.world.auditor.table.job(job)?.state).toBe('done');
      expect([...scenario.world.auditor.leases.values()].map((lease) => lease.endedHow)).toEqual([
        'completed',
        'completed',
      ]);
    }
  });

  it('a change of leader runs no task twice', () => {
    for (const seed of SEEDS) {
      const scenario = new Scenario({ seed, workerSlots: [2, 2] });
      const leader = scenario.untilLeader();
      const job = scenario.submit({ points: 2_000, pointMs: 5, taskSize: 200 });
      scenario.run(1_000 + seed * 53);
      scenario.world.crash(leader);
      scenario.untilState(job, 'done');
      expect(scenario.world.auditor.ledger.repetitions).toBe(0);
      expect([...scenario.world.auditor.leases.values()].filter((lease) => lease.endedHow !== 'completed')).toEqual([]);
    }
  });

  it('after a power cut nothing acknowledged is lost, and jobs go on from their committed cursors', () => {
    for (const seed of SEEDS) {
      const scenario = new Scenario({ seed, voterSlots: 1 });
      scenario.untilLeader();
      const commitEvery = 20;
      const job = scenario.submit({ points: 1_500, pointMs: 5, taskSize: 500, commitEvery });
      scenario.run(1_000 + seed * 53);
      const { world } = scenario;
      const leases = [...world.nodes.keys()].flatMap((id) => scenario.leasesOf(id));
      expect(leases.length).toBe(3);
      const covered = must(world.auditor.table.job(job), 'the job').coveredPoints;
      expect(covered).toBeGreaterThan(0);
      for (const id of world.nodes.keys()) world.crash(id);
      scenario.run(100);
      for (const id of world.nodes.keys()) world.boot(id);
      scenario.untilLeader();
      expect(must(world.auditor.table.job(job), 'the job').coveredPoints).toBeGreaterThanOrEqual(covered);
      scenario.untilState(job, 'done');
      for (const lease of leases) expect(scenario.successorOf(lease)?.start).toBe(lease.cursor);
      expect(world.auditor.ledger.repetitions).toBeLessThanOrEqual(leases.length * commitEvery);
    }
  });

  it('a runner whose every word is delivered twice never works beside its successor', () => {
    for (const seed of [1, 2, 3]) expect(echoedRunner(seed)).toBeNull();
  });

  it('a paused worker that wakes after its lease expired gets nothing accepted', () => {
    for (const seed of SEEDS) {
      const scenario = new Scenario({ seed, workerSlots: [1, 2] });
      scenario.untilLeader();
      scenario.untilJoined();
      const job = scenario.submit({ points: 2_000, pointMs: 20, taskSize: 1_000, tasksMax: 2 });
      scenario.until('w1 works', () => scenario.leasesOf('w1').length > 0);
      scenario.run(1_000 + seed * 37);
      const lease = must(scenario.leasesOf('w1')[0], 'a lease');
      scenario.world.pause('w1');
      scenario.until('the lease expires', () => lease.endedAt !== null);
      const { cursor } = lease;
      scenario.run(500);
      scenario.world.resume('w1');
      scenario.until('w1 joins again', () =>
        scenario.events.some(({ at, event }) => {
          return event.kind === 'worker-joined' && event.worker === 'w1' && at > (lease.endedAt ?? 0);
        }),
      );
      scenario.untilState(job, 'done');
      expect(lease.cursor).toBe(cursor);
      expect(lease.endedHow).toBe('expired');
    }
  });

  it('no point of a silent worker begins after its next lease was granted', () => {
    for (const seed of SEEDS) {
      expect(silentWorker(seed, 'paused')).toBeNull();
      expect(silentWorker(seed, 'cut off')).toBeNull();
    }
  });

  it('a submit whose entry outlives its leader is never said to have changed nothing', () => {
    for (const seed of SEEDS) expect(deafLeader(seed)).toBeNull();
  });

  it('a leader that was paused and cut off promises nothing to its own worker', () => {
    for (const seed of SEEDS) expect(cutOffLeader(seed)).toBeNull();
  });

  for (const during of ['entries', 'snapshot'] as const) {
    it(`a leader whose disk hangs while it writes ${during} gives way, and work goes on`, () => {
      for (const seed of SEEDS) expect(stalledLeader(seed, during)).toBeNull();
    });
  }

  for (const kind of ['bit-rot', 'cut-tail', 'dropped'] as const) {
    it(`a node with a spoilt disk (${kind}) refuses to start, and the others go on`, () => {
      for (const seed of SEEDS) expect(spoiltDisk(seed, kind)).toBeNull();
    });
  }

  it('a node whose disk was wiped takes no part under its old name', () => {
    const scenario = new Scenario({ seed: 3 });
    const leader = scenario.untilLeader();
    const victim = must(
      ['n1', 'n2', 'n3'].find((id) => id !== leader),
      'a follower',
    );
    scenario.world.crash(victim);
    scenario.world.wipe(victim);
    scenario.world.boot(victim);
    scenario.until('the wiped node ends itself', () => scenario.world.node(victim).process === null);
    expect(scenario.world.endings).toEqual([{ id: victim, code: 'INSTANCE_MISMATCH' }]);
    scenario.submit({ points: 10, pointMs: 1 });
  });
});
