/**
 * Verbs of faults: processes that end, links that lose, disks that lie.
 */
import { takeAnyNode, takeNode, takeNodes, type Verb } from './arguments.ts';
import { statusLines } from './status.ts';

export const crash: Verb = (cluster, command) => {
  const node = takeNode(cluster, command);
  command.finish(false);
  cluster.act(node, () => node.crash());
};

export const restart: Verb = (cluster, command) => {
  const node = takeAnyNode(cluster, command);
  const lost = command.numberOption('lose') ?? 0;
  command.finish(false);
  cluster.act(node, () => node.restart(lost));
  cluster.transcript.lines(statusLines(node));
};

export const isolate: Verb = (cluster, command) => {
  const nodes = takeNodes(cluster, command);
  command.finish(false);
  for (const node of nodes) cluster.isolate(node.id);
};

export const cut: Verb = (cluster, command) => {
  const left = takeNode(cluster, command);
  const right = takeNode(cluster, command);
  command.finish(false);
  cluster.cut(left.id, right.id);
};

export const heal: Verb = (cluster, command) => {
  command.finish(false);
  cluster.heal();
};

export const reportUnreachable: Verb = (cluster, command) => {
  takeNode(cluster, command);
  command.word('the node that is not reached');
  command.finish(false);
  cluster.transcript.line('note: no effect, a leader learns of losses from silence and refusals');
};
