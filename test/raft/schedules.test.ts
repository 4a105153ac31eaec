/**
 * Schedules: whole clusters under random events, with the membership changing all the while.
 *
 * Nodes are added, promoted, demoted, removed and replaced, one at a time or all at once; leaders remove themselves and
 * hand over; and everything that can fail does so meanwhile. Safety is checked after every event. Then all faults end,
 * and the cluster must come back, leave what joint configuration it is in, and agree.
 */
import { expect, test } from 'vitest';
import { PolarisError } from '../../src/base/errors.ts';
import { SNAPSHOT_LOST_TICKS } from '../../src/base/limits.ts';
import { createPrng, type Prng } from '../../src/base/prng.ts';
import type { NodeId } from '../../src/base/types.ts';
import { isJoint, membersOf } from '../../src/raft/configuration.ts';
import type { ConfChange, RaftStatus } from '../../src/raft/types.ts';
import { Cluster, ELECTION_TICKS_MAX, stir } from './network.ts';

const POOL: readonly NodeId[] = ['a', 'b', 'c', 'd', 'e', 'f', 'g'];
const TRANSITIONS: readonly ConfChange['transition'][] = ['auto', 'auto', 'joint-implicit', 'joint-explicit'];
const KINDS = ['add-voter', 'add-voter', 'add-learner', 'remove'] as const;

/** What happened in all schedules together: one under which nothing happens proves nothing. */
interface Tally {
  changes: number;
  joint: number;
  disjoint: number;
  departures: number;
  transfers: number;
}

function pick<T>(prng: Prng, items: readonly T[]): T {
  return items[prng.integer(0, items.length)]!;
}

/** The voters go, all of them, and others come: the two halves of the joint configuration share nobody. */
function replacement({ configuration }: RaftStatus): string[] {
  const { voters } = configuration;
  const others = POOL.filter((id) => !voters.includes(id)).slice(0, 3);
  return [...voters.map((id) => `remove ${id}`), ...others.map((id) => `add-voter ${id}`)];
}

function randomWords(prng: Prng, status: RaftStatus): string[] {
  if (isJoint(status.configuration)) return [];
  const die = prng.next();
  if (die < 0.15) return replacement(status);
  if (die < 0.3) return [`remove ${status.id}`];
  if (die < 0.4) return [`add-learner ${status.id}`];
  return Array.from({ length: pick(prng, [1, 1, 2, 3]) }, () => `${pick(prng, KINDS)} ${pick(prng, POOL)}`);
}

/** Cuts the cluster in two: along a joint configuration where there is one, else anywhere. */
function split(cluster: Cluster, prng: Prng): void {
  const leader = cluster.leader();
  const outgoing = leader === null ? [] : cluster.raft(leader).status().configuration.votersOutgoing;
  const isCut = outgoing.length > 0 && prng.chance(0.7);
  const left = new Set(cluster.ids.filter((id) => (isCut ? outgoing.includes(id) : prng.chance(0.5))));
  cluster.filter = ({ from, to }) => left.has(from) === left.has(to);
}

/** Faults that last: a cut through the cluster, a state machine that lags behind, a stretch of undisturbed time. */
function stirTime(cluster: Cluster, prng: Prng): void {
  const die = prng.next();
  if (die < 0.2) split(cluster, prng);
  else if (die < 0.4) cluster.filter = () => true;
  else if (die < 0.6) cluster.node(pick(prng, cluster.ids)).sluggish = true;
  else if (die < 0.8) for (const node of cluster.nodes.values()) node.sluggish = false;
  else cluster.run(prng.integer(1, ELECTION_TICKS_MAX));
}

function stirMembers(cluster: Cluster, prng: Prng, tally: Tally): void {
  const leader = cluster.leader();
  if (leader === null) return;
  const status = cluster.raft(leader).status();
  if (prng.chance(0.15)) {
    const result = cluster.raft(leader).transferLeadership(pick(prng, cluster.ids));
    if (result.ok) tally.transfers++;
    return;
  }
  const words = randomWords(prng, status);
  for (const word of words) {
    const id = word.split(' ')[1]!;
    if (!cluster.nodes.has(id)) cluster.add(id);
  }
  try {
    const result = cluster.change(leader, words, pick(prng, TRANSITIONS));
    if (result.ok && words.includes(`remove ${leader}`)) tally.departures++;
  } catch (error) {
    if (!(error instanceof PolarisError) || error.code !== 'BAD_MEMBERSHIP') throw error;
  }
}

/**
 * All voters are to be replaced; in the midst of it those who go are cut off from those who come, with the leader on
 * either side, and time passes on both. Whoever decides by one half alone is found out here.
 */
function ambush(cluster: Cluster, prng: Prng, tally: Tally): void {
  const leader = cluster.leader();
  if (leader === null) return;
  const status = cluster.raft(leader).status();
  if (isJoint(status.configuration)) return;
  const words = replacement(status);
  for (const word of words) {
    const id = word.split(' ')[1]!;
    if (!cluster.nodes.has(id)) cluster.add(id);
  }
  const result = cluster.change(leader, words, pick(prng, TRANSITIONS));
  if (result.ok) tally.departures++;
  for (let steps = prng.integer(0, 80); steps > 0; steps--) {
    if (prng.chance(0.6)) cluster.deliver();
    else cluster.sync(pick(prng, cluster.ids));
  }
  const { voters } = status.configuration;
  const isWithNew = prng.chance(0.7);
  const left = new Set(voters.filter((id) => id !== leader || !isWithNew));
  cluster.filter = ({ from, to }) => left.has(from) === left.has(to);
  for (const id of cluster.ids) if (prng.chance(0.2)) cluster.crash(id);
  cluster.run(prng.integer(1, 2 * ELECTION_TICKS_MAX));
  for (const id of cluster.ids) if (cluster.node(id).up) cluster.raft(id).propose(Buffer.from(`ambush ${id}`));
  cluster.run(prng.integer(1, 2 * ELECTION_TICKS_MAX));
}

/** Gives time until the cluster is led and not joint any more. */
function recover(cluster: Cluster): NodeId {
  for (let attempt = 0; attempt < 10; attempt++) {
    cluster.run(4 * ELECTION_TICKS_MAX);
    const leader = cluster.leader();
    if (leader === null) continue;
    const { configuration, settled } = cluster.raft(leader).status();
    if (!isJoint(configuration) && settled) return leader;
    if (!configuration.autoLeave && isJoint(configuration)) cluster.change(leader, []);
  }
  throw new Error('a healed cluster finds no leader, or stays joint');
}

function heal(cluster: Cluster): void {
  cluster.isolated.clear();
  cluster.filter = () => true;
  for (const node of cluster.nodes.values()) node.sluggish = false;
  for (const id of cluster.ids) if (!cluster.node(id).up) cluster.restart(id);
  cluster.run(SNAPSHOT_LOST_TICKS);
  recover(cluster);
  cluster.run(4 * ELECTION_TICKS_MAX);
  const leader = recover(cluster);
  cluster.propose(leader, 'last');
  const read = cluster.read(leader);
  cluster.run(20);
  const { configuration } = cluster.raft(leader).status();
  const { applied, reads } = cluster.node(leader);
  expect(applied.at(-1)).toBe('last');
  expect(reads.some(({ id }) => id === read)).toBe(true);
  for (const id of membersOf(configuration)) {
    expect(cluster.node(id).applied).toEqual(applied);
    expect(cluster.raft(id).status().configuration).toEqual(configuration);
  }
}

function count(cluster: Cluster, tally: Tally): void {
  for (const text of cluster.configurations.values()) {
    const { voters, votersOutgoing } = JSON.parse(text) as RaftStatus['configuration'];
    tally.changes++;
    if (votersOutgoing.length === 0) continue;
    tally.joint++;
    if (!voters.some((id) => votersOutgoing.includes(id))) tally.disjoint++;
  }
}

test('under any schedule in which the membership changes too, the safety properties hold, and a healed cluster agrees', () => {
  const tally: Tally = { changes: 0, joint: 0, disjoint: 0, departures: 0, transfers: 0 };
  const seeds = Number(process.env['SEEDS'] ?? 50);
  const first = Number(process.env['SEED'] ?? 1);
  for (let seed = first; seed < first + seeds; seed++) {
    const prng = createPrng(seed);
    const cluster = new Cluster({ voters: POOL.slice(0, prng.integer(1, 6)), seed });
    try {
      for (let event = 0; event < 2_500; event++) {
        const die = prng.next();
        if (die < 0.02) stirMembers(cluster, prng, tally);
        else if (die < 0.04) stirTime(cluster, prng);
        else if (die < 0.042) ambush(cluster, prng, tally);
        else stir(cluster, prng, `${seed}.${event}`);
        if (event % 20 === 0) cluster.checkLogs();
      }
      heal(cluster);
      cluster.checkLogs();
    } catch (error) {
      throw new Error(`seed ${seed}`, { cause: error });
    }
    count(cluster, tally);
  }
  expect(tally.changes).toBeGreaterThan(4 * seeds);
  expect(tally.joint).toBeGreaterThan(seeds);
  for (const happened of [tally.disjoint, tally.departures, tally.transfers]) expect(happened).toBeGreaterThan(20);
}, 120_000);
