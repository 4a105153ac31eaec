/**
 * Verbs of driving: what the daemon around a node does, one step at a time or until nothing moves.
 */
import type { RaftMessage } from '../../src/raft/types.ts';
import { takeNodes, type Verb } from './arguments.ts';
import type { Cluster } from './cluster.ts';
import { messageTypeOf } from './describe.ts';
import type { ScenarioNode } from './node.ts';
import { levelOf } from './transcript.ts';

type Step = (cluster: Cluster, node: ScenarioNode, heading: string | null) => boolean;

/** Runs the step for each node, under a heading where there are several. */
function stepThrough(heading: string, nothing: string, step: Step): Verb {
  return (cluster, command) => {
    const nodes = takeNodes(cluster, command);
    command.finish(false);
    for (const node of nodes) {
      const isDone = step(cluster, node, nodes.length > 1 ? `> ${node.id} ${heading}` : null);
      if (!isDone) cluster.transcript.line(`${node.id}: ${nothing}`);
    }
  };
}

export const processReady = stepThrough('handling Ready', 'no Ready', (cluster, node, heading) =>
  cluster.turn(node, heading),
);

export const processAppendThread = stepThrough('finishing its write', 'no write', (cluster, node, heading) =>
  cluster.finishWrite(node, heading),
);

export const processApplyThread = stepThrough('applying', 'nothing to apply', (cluster, node, heading) =>
  cluster.finishApply(node, heading),
);

export const stabilize: Verb = (cluster, command) => {
  const before = cluster.transcript.level;
  const name = command.option('log-level') ?? before;
  const nodes = command.hasWords ? takeNodes(cluster, command) : cluster.nodes;
  command.finish(false);
  const level = levelOf(name);
  if (level === null) throw command.error(`no level ${name}`);
  cluster.transcript.level = level;
  try {
    cluster.stabilize(nodes);
  } finally {
    cluster.transcript.level = before;
  }
};

export const deliverMessages: Verb = (cluster, command) => {
  const typeName = command.option('type');
  const type = typeName === null ? null : messageTypeOf(typeName);
  if (typeName !== null && type === null) throw command.error(`no message type ${typeName}`);
  const from = command.option('from');
  const countMax = command.numberOption('count') ?? Number.POSITIVE_INFINITY;
  const isKept = command.flag('keep') ?? false;
  const isReversed = command.flag('reverse') ?? false;
  const dropped = command.list('drop') ?? [];
  const delivered = command.words();
  command.finish(false);
  const both = dropped.find((id) => delivered.includes(id));
  if (both !== undefined) throw command.error(`messages to ${both} cannot be delivered and dropped`);
  let handled = 0;
  for (const to of [...delivered, ...dropped]) {
    let left = countMax;
    const isWanted = (message: RaftMessage): boolean =>
      (type === null || message.type === type) && (from === null || message.from === from) && left-- > 0;
    handled += cluster.deliver({ to, isWanted, isKept, isReversed, isDropped: dropped.includes(to) });
  }
  if (handled === 0) cluster.transcript.line('no messages');
};
