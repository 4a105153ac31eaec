import { describe, expect, test } from 'vitest';
import { must } from '../../src/base/assert.ts';
import { ORDERS_PER_MESSAGE_MAX, SLOTS_MAX } from '../../src/base/limits.ts';
import { jobId } from '../ranges/fixtures.ts';
import { joined, Office, TTL } from './office.ts';

const NO_DATA = { outputs: [], checkpoint: null } as const;

describe('joining', () => {
  test('a join is answered once its entry is applied', () => {
    const office = new Office();
    office.lead();
    office.join(5);
    expect(office.sent).toEqual([]);
    office.commit();
    expect(office.take('joined')).toEqual([{ type: 'joined', nonce: 5, incarnation: 1, sessionTtlMs: TTL }]);
  });

  test('a doubled join makes one incarnation, before its commit and after', () => {
    const office = new Office();
    office.lead();
    office.join(5);
    office.join(5);
    expect(office.commit()).toEqual(['worker-join']);
    office.join(5);
    expect(office.proposed).toEqual([]);
    expect(office.take('joined').map((message) => message.incarnation)).toEqual([1, 1]);
  });

  test('joining again ends the former life', () => {
    const office = joined();
    office.join(2);
    office.commit();
    expect(office.take('ended')).toEqual([{ type: 'ended', incarnation: 1 }]);
    expect(office.take('joined')).toMatchObject([{ nonce: 2, incarnation: 2 }]);
  });

  test('another data directory under the id of a living session is refused', () => {
    const office = joined();
    office.join(2, { instanceId: 'another' });
    office.commit();
    expect(office.take('join-refused')).toMatchObject([{ nonce: 2, code: 'INSTANCE_MISMATCH' }]);
    expect(office.incarnation()).toBe(1);
  });

  test('a leader that may have been deposed promises no session', () => {
    const office = new Office();
    office.lead();
    office.fresh = false;
    office.join(5);
    office.commit();
    expect(office.sent).toEqual([]);
    office.fresh = true;
    office.join(5);
    expect(office.take('joined')).toMatchObject([{ nonce: 5, incarnation: 1 }]);
  });
});

describe('answering', () => {
  test('a worker is answered only while the quorum is fresh; the next keep-alive asks again', () => {
    const office = joined();
    office.fresh = false;
    office.beat(1);
    expect(office.take('leases')).toEqual([]);
    office.fresh = true;
    office.beat(2);
    expect(office.take('leases')).toMatchObject([{ sequence: 2 }]);
  });

  test('a suspect is answered only after Heard is committed', () => {
    const office = joined();
    office.pass(TTL / 4);
    expect(office.proposed.map((one) => one.command.kind)).toEqual(['worker-suspect']);
    // From the proposal on, though it is not committed yet.
    office.beat(1);
    expect(office.take('leases')).toEqual([]);
    expect(office.commit(1)).toEqual(['worker-suspect']);
    expect(office.take('leases')).toEqual([]);
    expect(office.commit(1)).toEqual(['worker-heard']);
    expect(office.take('leases')).toMatchObject([{ sequence: 1 }]);
  });

  test('a suspect stays unanswered when the log could not take the Suspect', () => {
    const office = joined();
    office.full = true;
    office.pass(TTL / 4);
    office.full = false;
    office.beat(1);
    expect(office.take('leases')).toEqual([]);
    office.commit();
    expect(office.take('leases')).toHaveLength(1);
  });

  test('a Heard that was proposed before another Suspect does not outweigh it', () => {
    const office = joined();
    office.pass(TTL / 4);
    office.beat(1);
    // Commits take long; meanwhile the worker is silent for two more quarters, and then comes back.
    office.pass(TTL / 2);
    office.beat(2);
    expect(office.proposed.map((one) => one.command.kind)).toEqual([
      'worker-suspect',
      'worker-heard',
      'worker-suspect',
    ]);
    office.commit(2);
    expect(office.take('leases')).toEqual([]);
    // Its end: the log holds two quarters, so the next leader would count them.
    office.commit(1);
    expect(office.pen.table.worker('w1')?.suspectQuarters).toBe(2);
    expect(office.take('leases')).toEqual([]);
    office.beat(3);
    office.commit();
    expect(office.pen.table.worker('w1')?.suspectQuarters).toBe(0);
    expect(office.take('leases')).toMatchObject([{ sequence: 3 }]);
  });

  test('who speaks for an incarnation that is over is told so; for one not applied yet, nothing', () => {
    const office = joined();
    office.leader.message('w1', { type: 'keep-alive', incarnation: 99, sequence: 1, epochs: [], draining: false });
    expect(office.sent).toEqual([]);
    office.leader.message('w2', { type: 'keep-alive', incarnation: 1, sequence: 1, epochs: [], draining: false });
    expect(office.take('ended')).toEqual([{ type: 'ended', incarnation: 1 }]);
    office.fresh = false;
    office.leader.message('w2', { type: 'keep-alive', incarnation: 1, sequence: 2, epochs: [], draining: false });
    expect(office.sent).toEqual([]);
  });
});

describe('the end of a session', () => {
  test('comes after a whole TTL of silence, and the worker is told', () => {
    const office = joined();
    for (let quarter = 1; quarter <= 3; quarter++) {
      office.pass(TTL / 4);
      expect(office.commit()).toEqual(['worker-suspect']);
    }
    office.pass(TTL / 4 - 1);
    expect(office.proposed).toEqual([]);
    office.pass(1);
    expect(office.commit()).toEqual(['worker-expire']);
    expect(office.take('ended')).toEqual([{ type: 'ended', incarnation: 1 }]);
  });

  test('a new leader counts the quarters that the log holds', () => {
    const office = joined();
    office.pass(TTL / 2);
    office.commit();
    office.lead();
    office.pass(TTL / 4);
    expect(office.commit()).toEqual(['worker-suspect']);
    office.pass(TTL / 4);
    expect(office.commit()).toEqual(['worker-expire']);
  });

  test('a leader killed over and over does not keep a dead worker alive', () => {
    const office = joined();
    for (let leaders = 0; leaders < 4; leaders++) {
      office.lead();
      office.pass(TTL / 4);
      office.commit();
    }
    expect(office.pen.table.worker('w1')).toBeUndefined();
  });

  test('a stall of the leader excuses its workers', () => {
    const office = joined();
    office.hand.time.stall(2 * TTL);
    office.leader.stalled(2 * TTL, office.hand.env.clock.now());
    office.leader.judge();
    expect(office.proposed).toEqual([]);
  });

  test('is proposed again when the log could not take it', () => {
    const office = joined();
    office.full = true;
    office.pass(TTL);
    office.full = false;
    office.pass(1);
    expect(office.commit()).toEqual(['worker-expire']);
  });

  test('comes early for a worker of this host whose address refuses', () => {
    const office = joined();
    office.hand.network.probeOutcome = 'refused';
    office.leader.disconnected('w1');
    office.hand.time.pass(600);
    expect(office.commit()).toEqual(['worker-expire']);
  });

  test('a new leader probes those it has no connection with', () => {
    const office = joined();
    office.hand.network.probeOutcome = 'refused';
    office.lead([]);
    office.hand.time.pass(600);
    expect(office.commit()).toEqual(['worker-expire']);
  });

  test('a worker whose end is proposed is neither answered nor heard', () => {
    const office = joined();
    office.pass(TTL);
    office.beat(1);
    expect(office.commit()).toEqual(['worker-expire']);
    expect(office.take('leases')).toEqual([]);
  });

  test('its reports are refused', () => {
    const office = joined();
    office.submit({ end: 1, options: { taskSize: 1 } });
    office.run();
    const { epoch } = must(office.pen.job().tasks[0], 'a task was granted');
    const report = { epoch, cursor: 1, begun: 1, claimed: 1, ending: 'complete', error: '', ...NO_DATA } as const;
    const say = () => office.leader.message('w1', { type: 'report', incarnation: 1, sequence: 1, reports: [report] });
    office.pass(TTL);
    // From the proposal of its end on: what follows in the log comes too late anyway.
    say();
    expect(office.commit()).toEqual(['worker-expire']);
    say();
    office.run();
    expect(office.take('reported')).toEqual([]);
    expect(office.pen.job().coveredPoints).toBe(0);
    expect(office.take('ended')).toHaveLength(2);
  });
});

describe('giving tasks', () => {
  test('a worker that said that it works is given tasks at once, and is told by push', () => {
    const office = joined();
    office.submit();
    expect(office.run()).toEqual(['grant', 'grant']);
    const pushed = office.take('leases').at(-1);
    expect(pushed).toMatchObject({ sequence: 0, epochs: [3, 4] });
    expect(office.leader.jobPace(office.pen.job()).pointsPerSecond).toBe(0);
  });

  test('an inherited session gets no tasks before this leader heard it', () => {
    const office = joined();
    office.lead();
    office.submit();
    expect(office.run()).toEqual([]);
    office.beat(1);
    expect(office.run()).toEqual(['grant', 'grant']);
  });

  test('a report does not say whether its worker rests, so a new leader waits for the keep-alive', () => {
    const office = joined();
    office.submit({ options: { taskSize: 10 } });
    office.run();
    office.lead();
    office.report({ epoch: 3, cursor: 10, ending: 'complete' });
    expect(office.run()).toEqual(['complete']);
    office.beat(1, { epochs: [4], draining: true });
    expect(office.run()).toEqual([]);
    office.beat(2, { epochs: [4] });
    office.leader.rest('w1', false, () => {});
    office.beat(3, { epochs: [4] });
    expect(office.run()).toEqual(['grant']);
  });

  test('a worker that joins anew may still rest, and gets nothing before its first keep-alive', () => {
    const office = joined();
    office.join(2);
    office.run();
    office.submit();
    expect(office.run()).toEqual([]);
    office.beat(1);
    expect(office.run()).toEqual(['grant', 'grant']);
  });

  test('a draining worker is answered once nothing is on its way to it', () => {
    const office = joined();
    office.submit();
    office.leader.flush();
    expect(office.proposed.map((one) => one.command.kind)).toEqual(['grant', 'grant']);
    office.beat(1, { draining: true });
    expect(office.take('leases')).toEqual([]);
    office.commit(1);
    expect(office.take('leases').filter((one) => one.sequence === 1)).toEqual([]);
    office.commit(1);
    expect(office.take('leases').filter((one) => one.sequence === 1)).toMatchObject([{ orders: [{}, {}] }]);
  });

  test('a draining worker, a suspect and one whose end is proposed get none', () => {
    const draining = joined();
    draining.beat(1, { draining: true });
    draining.submit();
    expect(draining.run()).toEqual([]);
    draining.leader.rest('w1', false, () => {});
    draining.beat(2, { draining: false });
    expect(draining.run()).toEqual(['grant', 'grant']);

    const suspect = joined();
    suspect.pass(TTL / 4);
    suspect.submit();
    expect(suspect.run()).toEqual(['worker-suspect']);
    suspect.beat(1);
    expect(suspect.run()).toEqual(['worker-heard', 'grant', 'grant']);
  });

  test('a failed-before range is granted when its back-off ends, without any other event', () => {
    const office = joined();
    office.submit({ end: 1, options: { taskSize: 1 } });
    office.run();
    const { epoch } = must(office.pen.job().tasks[0], 'a task was granted');
    const report = { epoch, cursor: 0, begun: 1, claimed: 0, ending: 'fail', error: 'boom', ...NO_DATA } as const;
    office.leader.message('w1', { type: 'report', incarnation: 1, sequence: 1, reports: [report] });
    expect(office.run()).toEqual(['fail']);
    office.pass(500);
    expect(office.run()).toEqual(['grant']);
  });

  test('grants that the log could not take are made later, and do not spin', () => {
    const office = joined();
    office.full = true;
    office.submit();
    for (let turns = 0; turns < 50; turns++) office.leader.flush();
    office.full = false;
    office.leader.flush();
    expect(office.proposed).toEqual([]);
    office.pass(100);
    expect(office.run()).toEqual(['grant', 'grant']);
  });

  test('a worker with many slots is told of all its tasks without waiting for its next keep-alive', () => {
    const office = new Office();
    office.lead();
    office.join(1, { slots: SLOTS_MAX });
    office.run();
    office.beat(0);
    office.submit({ end: 40, options: { taskSize: 1 } });
    office.run();
    const pushes = office.take('leases');
    expect(Math.max(...pushes.map((push) => push.orders.length))).toBe(ORDERS_PER_MESSAGE_MAX);
    expect(new Set(pushes.flatMap((push) => push.orders.map((order) => order.start))).size).toBe(40);
  });

  test('an order that was pushed and lost comes again with the next answer', () => {
    const office = joined();
    office.submit();
    office.run();
    office.sent.length = 0;
    office.beat(1, { epochs: [3] });
    expect(office.take('leases')[0]?.orders.map((order) => order.epoch)).toEqual([4]);
  });
});

describe('pausing and cancelling', () => {
  test('a pause reaches the workers by push, and every later answer says it again', () => {
    const office = joined();
    office.submit();
    office.run();
    office.sent.length = 0;
    office.control('pause');
    office.leader.flush();
    expect(office.take('leases')).toMatchObject([{ sequence: 0, release: [3, 4] }]);
    office.beat(1, { epochs: [3, 4] });
    expect(office.take('leases')).toMatchObject([{ sequence: 1, release: [3, 4] }]);
  });

  test('a cancel reaches the workers by push', () => {
    const office = joined();
    office.submit();
    office.run();
    office.sent.length = 0;
    office.control('cancel');
    office.leader.flush();
    expect(office.take('leases')).toMatchObject([{ sequence: 0, epochs: [], appliedIndex: 5 }]);
  });

  test('a resumed job is granted again', () => {
    const office = joined();
    office.submit();
    office.control('pause');
    expect(office.run()).toEqual([]);
    office.control('resume');
    expect(office.run()).toEqual(['grant', 'grant']);
  });
});

test('the speed of a job and what is left give its end', () => {
  const office = joined();
  office.submit({ end: 1_000, options: { taskSize: 1_000 } });
  office.run();
  const { epoch } = must(office.pen.job().tasks[0], 'a task was granted');
  for (let sequence = 1; sequence <= 10; sequence++) {
    office.pass(100);
    office.beat(sequence, { epochs: [epoch] });
    const cursor = sequence * 10;
    const report = { epoch, cursor, begun: cursor, claimed: cursor, ending: null, error: '', ...NO_DATA };
    office.leader.message('w1', { type: 'report', incarnation: 1, sequence, reports: [report] });
    office.run();
  }
  const { pointsPerSecond, etaSeconds } = office.leader.jobPace(office.pen.job(jobId(1)));
  expect(pointsPerSecond).toBeGreaterThan(80);
  expect(pointsPerSecond).toBeLessThan(120);
  expect(etaSeconds).toBeCloseTo(900 / pointsPerSecond);
});
