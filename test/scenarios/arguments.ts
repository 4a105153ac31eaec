/**
 * Arguments: the nodes that a command names.
 */
import type { Cluster } from './cluster.ts';
import type { Command } from './command.ts';
import type { ScenarioNode } from './node.ts';

export type Verb = (cluster: Cluster, command: Command) => void;

/** A node that may have crashed. */
export function takeAnyNode(cluster: Cluster, command: Command): ScenarioNode {
  const id = command.word('the node');
  const node = cluster.find(id);
  if (node === null) throw command.error(`no node ${id}`);
  return node;
}

export function takeNode(cluster: Cluster, command: Command): ScenarioNode {
  const node = takeAnyNode(cluster, command);
  if (!node.isUp) throw command.error(`${node.id} has crashed`);
  return node;
}

export function takeNodes(cluster: Cluster, command: Command): ScenarioNode[] {
  const nodes = [takeNode(cluster, command)];
  while (command.hasWords) nodes.push(takeNode(cluster, command));
  return nodes;
}
