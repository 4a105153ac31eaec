/**
 * Verbs of time: ticks, and what is made of them. There is no other time in a scenario.
 */
import { SNAPSHOT_LOST_TICKS } from '../../src/base/limits.ts';
import { ELECTION_TICKS_MAX, ELECTION_TICKS_MIN } from './add-nodes.ts';
import { takeNode, takeNodes, type Verb } from './arguments.ts';
import type { Cluster } from './cluster.ts';
import type { Command } from './command.ts';
import type { ScenarioNode } from './node.ts';

/** A snapshot is taken for lost only after many ticks; nothing takes longer. */
const TICKS_AT_ONCE_MAX = 2 * SNAPSHOT_LOST_TICKS;

export function tickBy(ticks: number): Verb {
  return (cluster, command) => {
    const nodes = takeNodes(cluster, command);
    command.finish(false);
    for (const node of nodes) tick(cluster, node, ticks);
  };
}

export const tickCounted: Verb = (cluster, command) => {
  const node = takeNode(cluster, command);
  const ticks = takeTicks(command);
  command.finish(false);
  tick(cluster, node, ticks);
};

function tick(cluster: Cluster, node: ScenarioNode, ticks: number): void {
  for (let count = 0; count < ticks; count++) cluster.act(node, () => node.raft.tick());
}

/** Time goes by for all nodes alike, and everything that comes of a tick is done before the next. */
export const pass: Verb = (cluster, command) => {
  const ticks = takeTicks(command);
  command.finish(false);
  for (let count = 0; count < ticks; count++) {
    for (const node of cluster.nodes) if (node.isUp) tick(cluster, node, 1);
    cluster.stabilize(cluster.nodes);
  }
};

function takeTicks(command: Command): number {
  const ticks = command.number('the number of ticks');
  if (ticks > TICKS_AT_ONCE_MAX) throw command.error(`at most ${TICKS_AT_ONCE_MAX} ticks at once`);
  return ticks;
}

export const campaign: Verb = (cluster, command) => {
  const node = takeNode(cluster, command);
  command.finish(false);
  if (node.raft.status().role === 'leader') {
    cluster.transcript.line(`${node.id} leads already`);
    return;
  }
  cluster.act(node, () => node.campaign(ELECTION_TICKS_MAX));
  if (node.raft.status().role === 'follower') cluster.transcript.line(`${node.id} does not stand`);
};

export const setElectionTimeout: Verb = (cluster, command) => {
  const node = takeNode(cluster, command);
  const ticks = command.numberOption('timeout') ?? command.number('the timeout');
  command.finish(false);
  if (ticks < ELECTION_TICKS_MIN || ticks >= ELECTION_TICKS_MAX) {
    throw command.error(`a timeout is in [${ELECTION_TICKS_MIN}, ${ELECTION_TICKS_MAX})`);
  }
  node.fixTimeout(ticks);
};
