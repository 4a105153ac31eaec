/**
 * Verbs of requests: what is asked of a node from outside. What the core refuses is part of the transcript.
 */
import { PolarisError } from '../../src/base/errors.ts';
import type { ConfChange } from '../../src/raft/types.ts';
import { takeNode, type Verb } from './arguments.ts';
import type { Cluster } from './cluster.ts';
import type { ScenarioNode } from './node.ts';
import { encodeConfChange, encodeText, parseChange } from './payload.ts';

/** The longest text that `size` makes. */
const SIZE_MAX = 4_096;

export const propose: Verb = (cluster, command) => {
  const node = takeNode(cluster, command);
  const size = command.numberOption('size');
  const text = command.words().join(' ');
  command.finish(false);
  if (text === '') throw command.error('the text is missing');
  if (size !== null && size > SIZE_MAX) throw command.error(`size is at most ${SIZE_MAX}`);
  const result = cluster.act(node, () => node.raft.propose(encodeText(text.padEnd(size ?? 0, '.'))));
  if (!result.ok) cluster.transcript.line(`refused: ${result.reason}`);
};

/** The names of the transitions, as etcd has them, and those of the core. */
const TRANSITIONS: ReadonlyMap<string, ConfChange['transition']> = new Map([
  ['auto', 'auto'],
  ['implicit', 'joint-implicit'],
  ['explicit', 'joint-explicit'],
]);

export const proposeConfChange: Verb = (cluster, command) => {
  const node = takeNode(cluster, command);
  const isSingle = command.flag('v1') ?? false;
  const name = command.option('transition') ?? 'auto';
  command.finish(true);
  const transition = TRANSITIONS.get(name);
  if (transition === undefined) throw command.error(`no transition ${name}`);
  const words = command.input.flatMap((line) => line.split(/\s+/)).filter((word) => word !== '');
  if (isSingle && words.length !== 1) throw command.error('v1 makes one change at a time');
  const changes = words.map((word) => {
    const change = parseChange(word);
    if (change === null) throw command.error(`no change ${word}`);
    return change;
  });
  proposeChange(cluster, node, { transition, changes });
};

function proposeChange(cluster: Cluster, node: ScenarioNode, change: ConfChange): void {
  try {
    const result = cluster.act(node, () => node.raft.proposeConfChange(change, encodeConfChange(change)));
    if (!result.ok) cluster.transcript.line(`refused: ${result.reason}`);
  } catch (error) {
    if (!(error instanceof PolarisError)) throw error;
    cluster.transcript.line(`refused: ${error.message}`);
  }
}

export const transferLeadership: Verb = (cluster, command) => {
  const from = command.option('from');
  const to = command.option('to');
  command.finish(false);
  const node = cluster.find(from ?? '');
  if (node === null || !node.isUp) throw command.error(`no node ${from} that is up`);
  if (to === null) throw command.error('to is missing');
  const result = cluster.act(node, () => node.raft.transferLeadership(to));
  if (!result.ok) cluster.transcript.line(`refused: ${result.reason}`);
};

export const readIndex: Verb = (cluster, command) => {
  const node = takeNode(cluster, command);
  command.finish(false);
  const id = cluster.nextReadId();
  const isTaken = cluster.act(node, () => node.raft.requestRead(id));
  cluster.transcript.line(isTaken ? `read ${id} waits` : `read ${id} refused: not-leader`);
};
