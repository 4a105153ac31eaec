import { describe, expect, test } from 'vitest';
import { must } from '../../src/base/assert.ts';
import { DRAIN_MS } from '../../src/base/limits.ts';
import type { Result } from '../../src/daemon/api.ts';
import { jobId, specOf } from '../ranges/fixtures.ts';
import { helloOf } from './fakes.ts';
import { NodeCluster } from './node-cluster.ts';

function answersOf<T>(): { readonly codes: string[]; readonly done: (result: Result<T>) => void } {
  const codes: string[] = [];
  return { codes, done: (result) => void codes.push(result.ok ? 'ok' : result.error.code) };
}

/** A single voter that also works, and leads. */
function alone(): NodeCluster {
  const cluster = new NodeCluster('n1');
  cluster.start('n1', { slots: 1 });
  cluster.awaitLeader();
  return cluster;
}

function three(): NodeCluster {
  const cluster = new NodeCluster('n1', 'n2', 'n3');
  for (const id of ['n1', 'n2', 'n3']) cluster.start(id);
  cluster.awaitLeader();
  return cluster;
}

describe('a cluster', () => {
  test('forms once, elects a leader, and all name the same one', () => {
    const cluster = three();
    cluster.time.pass(1_000);
    const statuses = [...cluster.lives.values()].map(({ node }) => node.status());
    expect(new Set(statuses.map((status) => status.id)).size).toBe(1);
    expect(new Set(statuses.map((status) => status.leader)).size).toBe(1);
    expect(statuses[0]?.members.map((member) => member.id)).toEqual(['n1', 'n2', 'n3']);
    const ready = [...cluster.lives.values()].map(({ node }) => node.readiness().every((one) => one.ok));
    expect(ready).toEqual([true, true, true]);
  });

  test('does not form without one of its voters', () => {
    const cluster = new NodeCluster('n1', 'n2', 'n3');
    cluster.start('n1');
    cluster.start('n2');
    cluster.time.pass(5_000);
    expect(cluster.life('n1').node.status()).toMatchObject({ id: null, leader: null });
  });

  test('refuses a node whose disk was wiped, and that node ends', () => {
    const cluster = three();
    cluster.kill('n3');
    cluster.disk('n3').cells.clear();
    cluster.disk('n3').mark = null;
    const wiped = cluster.start('n3');
    expect(wiped.hand.fatal).toMatchObject([{ code: 'INSTANCE_MISMATCH' }]);
    cluster.time.pass(2_000);
    expect(wiped.node.leads()).toBe(false);
    expect(wiped.hand.network.sent).toEqual([]);
  });

  test('loses its leader and finds another, which takes what comes', () => {
    const cluster = three();
    const former = cluster.awaitLeader();
    cluster.kill(former.node.id);
    const leader = cluster.awaitLeader();
    const { codes, done } = answersOf();
    leader.node.submit(specOf(), done);
    cluster.until(() => codes.length > 0, 'the submit is answered');
    expect(codes).toEqual(['ok']);
  });

  test('is not led before the leader’s own no-op is applied, for its table may lack what the last one promised', () => {
    const cluster = new NodeCluster('n1');
    const life = cluster.start('n1');
    cluster.until(() => life.node.replica !== null, 'it is formed');
    const writes: (() => void)[] = [];
    life.heldWrites = writes;
    cluster.until(() => writes.length > 0, 'its vote is on its way to the disk');
    writes.pop()?.();
    cluster.until(() => writes.length > 0, 'its no-op is on its way to the disk');
    expect(life.node.replica?.status().role).toBe('leader');
    expect(life.node.leads()).toBe(false);
    expect(life.node.leaderAddress()).toBeNull();
    writes.pop()?.();
    cluster.time.settle();
    expect(life.node.leads()).toBe(true);
  });

  test('a leader that is cut off stops leading, and says so of what it could not commit', () => {
    const cluster = three();
    const leader = cluster.awaitLeader();
    leader.isCut = true;
    const { codes, done } = answersOf();
    leader.node.submit(specOf(), done);
    leader.node.read('linearizable', () => true, done);
    cluster.until(() => codes.length === 2, 'both are answered');
    expect(codes.sort()).toEqual(['NO_LEADER', 'OUTCOME_UNKNOWN']);
    expect(leader.node.leads()).toBe(false);
    expect(leader.node.leaderAddress()).toBeNull();
  });
});

describe('requests', () => {
  test('on a node that does not lead are refused, but for local reads', () => {
    const cluster = three();
    const leader = cluster.awaitLeader();
    const follower = cluster.follower();
    const { codes, done } = answersOf();
    follower.node.submit(specOf(), done);
    follower.node.control(jobId(1), 'pause', done);
    follower.node.read('linearizable', () => true, done);
    follower.node.read('local', () => true, done);
    expect(codes).toEqual(['NO_LEADER', 'NO_LEADER', 'NO_LEADER', 'ok']);
    expect(follower.node.leaderAddress()).toBe(`there:${leader.node.id}`);
  });

  test('that the table refuses come back with its code', () => {
    const cluster = alone();
    const { codes, done } = answersOf();
    cluster.life('n1').node.control(jobId(9), 'pause', done);
    cluster.until(() => codes.length > 0, 'it is answered');
    expect(codes).toEqual(['JOB_NOT_FOUND']);
  });

  test('who waits for a leader is told when there is one', () => {
    const cluster = new NodeCluster('n1');
    const { node } = cluster.start('n1');
    const found: boolean[] = [];
    node.awaitLeader(60_000, (isFound) => void found.push(isFound));
    node.awaitLeader(1, (isFound) => void found.push(isFound));
    cluster.time.pass(1);
    expect(found).toEqual([false]);
    cluster.awaitLeader();
    expect(found).toEqual([false, true]);
  });

  test('who waits for a leader when the node stops is not told that there is one', () => {
    const { node } = new NodeCluster('n1', 'n2').start('n1');
    const found: boolean[] = [];
    node.awaitLeader(60_000, (isFound) => void found.push(isFound));
    node.stop(() => {});
    expect(found).toEqual([false]);
  });
});

describe('working', () => {
  /** A job of three points on a node of one slot: its first task is running. */
  function running() {
    const cluster = alone();
    const life = cluster.life('n1');
    cluster.until(() => life.node.status().workers.length > 0, 'its own worker has joined');
    life.node.submit(specOf({ end: 3, options: { taskSize: 3 } }), () => {});
    cluster.until(() => life.executor.calls.length > 0, 'a task runs');
    const epoch = Number(must(life.executor.take()[0], 'a task runs').split(' ')[1]);
    const job = () => must(life.node.replica?.table.job(jobId(1)), 'the job is in the table');
    return { cluster, life, epoch, job };
  }

  test('a job is done when its tasks are', () => {
    const { cluster, life, epoch, job } = running();
    life.executor.ended({ epoch, cursor: 3 });
    cluster.until(() => job().state === 'done', 'the job is done');
    expect(job().covered).toEqual([{ start: 0, end: 3 }]);
  });

  test('what the executor says is passed on in the same turn, not at the next tick', () => {
    const { cluster, life, epoch, job } = running();
    cluster.time.pass(100);
    life.executor.ended({ epoch, cursor: 3 });
    cluster.time.settle();
    expect(job().state).toBe('done');
  });

  test('a pause reaches the code without waiting for the next keep-alive', () => {
    const { cluster, life, epoch } = running();
    cluster.time.pass(100);
    life.executor.take();
    life.node.control(jobId(1), 'pause', () => {});
    cluster.time.settle();
    expect(life.executor.take()).toEqual([`release ${epoch}`]);
  });

  test('a cancel reaches the code without waiting for the next keep-alive', () => {
    const { cluster, life, epoch } = running();
    cluster.time.pass(100);
    life.executor.take();
    life.node.control(jobId(1), 'cancel', () => {});
    cluster.time.settle();
    expect(life.executor.take()).toEqual([`abort ${epoch}`]);
  });

  test('a stop gives the lease back, takes nothing new, and then ends the executor', () => {
    const { cluster, life, epoch, job } = running();
    let stopped = 0;
    life.node.stop(() => {
      stopped++;
    });
    expect(life.executor.take()).toEqual([`release ${epoch}`]);
    life.executor.ended({ epoch, cursor: 1, ending: 'release' });
    cluster.until(() => stopped > 0, 'the node stopped');
    expect(job()).toMatchObject({ coveredPoints: 1, tasks: [] });
    expect(life.executor.take()).toEqual([]);
    expect(life.executor.stopped).not.toBeNull();
    cluster.time.pass(DRAIN_MS);
    expect(stopped).toBe(1);
  });

  test('a stop does not wait for ever for code that does not let go', () => {
    const { cluster, life } = running();
    let stopped = 0;
    life.node.stop(() => {
      stopped++;
    });
    cluster.time.pass(DRAIN_MS - 1);
    expect(stopped).toBe(0);
    cluster.time.pass(1);
    expect(stopped).toBe(1);
  });
});

describe('workers of their own', () => {
  test('join through any voter, work under whoever leads, and outlive a change of leader', () => {
    const cluster = three();
    const worker = cluster.start('w1');
    const joined = () =>
      cluster
        .awaitLeader()
        .node.status()
        .workers.map((one) => one.id);
    cluster.until(() => joined().length > 0, 'the worker has joined');
    cluster.awaitLeader().node.submit(specOf({ end: 3, options: { taskSize: 3 } }), () => {});
    cluster.until(() => worker.executor.calls.length > 0, 'its task runs');
    const epoch = Number(must(worker.executor.take()[0], 'a task runs').split(' ')[1]);
    cluster.kill(cluster.awaitLeader().node.id);
    const leader = cluster.awaitLeader();
    cluster.time.pass(1_000);
    expect(worker.executor.take()).toEqual([]);
    worker.executor.ended({ epoch, cursor: 3 });
    cluster.until(() => leader.node.replica?.table.job(jobId(1))?.state === 'done', 'the job is done');
  });

  test('are told who leads when they ask another', () => {
    const cluster = three();
    const leader = cluster.awaitLeader();
    const follower = cluster.follower();
    cluster.time.pass(200);
    const handler = must(follower.hand.network.handler, 'it listens');
    handler.connected(helloOf({ nodeId: 'w9', role: 'worker' }));
    follower.hand.network.sent.length = 0;
    handler.message('w9', { type: 'keep-alive', incarnation: 1, sequence: 1, epochs: [], draining: false });
    expect(follower.hand.network.take('leader', 'w9')).toMatchObject([{ leader: leader.node.id }]);
  });

  test('are given up when they are silent, also by a leader whose every turn takes long', () => {
    const cluster = alone();
    const life = cluster.life('n1');
    const handler = must(life.hand.network.handler, 'it listens');
    handler.connected(helloOf({ nodeId: 'w1', role: 'worker', address: 'there:w1' }));
    const join = { type: 'join', nonce: 1, instanceId: 'i-w1', address: 'there:w1', slots: 1, offers: [] } as const;
    handler.message('w1', join);
    cluster.until(() => life.node.status().workers.some((one) => one.id === 'w1'), 'w1 has joined');
    // Every turn of this leader takes 150 ms, on a busy machine; and w1 says nothing any more.
    for (let turns = 0; turns < 400; turns++) {
      cluster.time.stall(150);
      cluster.time.pass(0);
    }
    expect(life.node.status().workers.map((one) => one.id)).not.toContain('w1');
  });
});

describe('the end of a node', () => {
  test('comes with a failed write, and nothing is sent afterwards', () => {
    const cluster = three();
    const leader = cluster.awaitLeader();
    cluster.time.pass(100);
    cluster.disk(leader.node.id).failNextWrite('lost');
    const { codes, done } = answersOf();
    leader.node.submit(specOf(), done);
    cluster.until(() => leader.hand.fatal.length > 0, 'the node ends');
    leader.hand.network.sent.length = 0;
    cluster.time.pass(3_000);
    expect(codes).toEqual(['STOPPING']);
    expect(leader.hand.network.sent).toEqual([]);
    expect(leader.node.leads()).toBe(false);
  });

  test('lets the write that is under way wake nothing and say nothing', () => {
    const cluster = three();
    cluster.time.pass(200);
    const follower = cluster.follower();
    follower.heldWrites = [];
    cluster.awaitLeader().node.submit(specOf(), () => {});
    cluster.time.settle();
    expect(follower.heldWrites).toHaveLength(1);
    follower.node.stop(() => {});
    follower.hand.network.sent.length = 0;
    follower.heldWrites.pop()?.();
    cluster.time.pass(100);
    expect(follower.hand.network.sent).toEqual([]);
  });

  test('comes with a broken invariant in whatever called it, a disk too', () => {
    const cluster = three();
    cluster.time.pass(200);
    const follower = cluster.follower();
    const { replica } = follower.node;
    follower.heldWrites = [];
    cluster.awaitLeader().node.submit(specOf(), () => {});
    cluster.time.settle();
    must(replica, 'it is formed').raft.written();
    follower.heldWrites.pop()?.();
    expect(follower.hand.fatal).toMatchObject([{ name: 'InvariantError' }]);
  });
});
