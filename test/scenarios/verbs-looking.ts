/**
 * Verbs of looking, at nodes and their logs; and of compaction, which only changes what is to be seen there.
 */
import { takeNode, type Verb } from './arguments.ts';
import { entryText } from './describe.ts';
import { stateLine, statusLines } from './status.ts';
import { levelOf } from './transcript.ts';

export const setLogLevel: Verb = (cluster, command) => {
  const name = command.word('the level');
  command.finish(false);
  const level = levelOf(name);
  if (level === null) throw command.error(`no level ${name}`);
  cluster.transcript.level = level;
};

export const print: Verb = (cluster, command) => {
  const text = command.words().join(' ');
  command.finish(false);
  cluster.transcript.line(text);
};

export const compact: Verb = (cluster, command) => {
  const node = takeNode(cluster, command);
  const index = command.number('the index');
  command.finish(false);
  const { applied } = node.raft.status();
  if (index > applied) throw command.error(`${node.id} has applied up to ${applied} only`);
  cluster.act(node, () => node.compact(index + 1));
  const { firstIndex, snapshotIndex } = node.raft.status();
  cluster.transcript.line(`snapshot at ${snapshotIndex}, log from ${firstIndex}`);
};

export const raftLog: Verb = (cluster, command) => {
  const node = takeNode(cluster, command);
  command.finish(false);
  const { firstIndex, lastIndex } = node.raft.status();
  if (lastIndex < firstIndex)
    cluster.transcript.line(`log is empty: first index=${firstIndex}, last index=${lastIndex}`);
  for (const entry of node.raft.entriesFrom(firstIndex)) {
    const isSynced = node.disk.entries.some((kept) => kept.index === entry.index && kept.term === entry.term);
    cluster.transcript.line(`${entryText(entry)}${isSynced ? '' : ' (not synced)'}`);
  }
};

export const raftState: Verb = (cluster, command) => {
  command.finish(false);
  cluster.transcript.lines(cluster.nodes.map(stateLine));
};

export const status: Verb = (cluster, command) => {
  const node = takeNode(cluster, command);
  command.finish(false);
  cluster.transcript.lines(statusLines(node));
};
