/**
 * Add nodes: makes the nodes that `add-nodes` asks for, each with the disk that it starts from.
 *
 * The nodes of one directive are alike and differ by their number only. What etcd's form of the directive can switch and
 * this core cannot is taken and answered with a note, so that a scenario written there is read here with open eyes.
 */
import type { LogIndex, NodeId, Term } from '../../src/base/types.ts';
import { configurationOf, NOBODY } from '../../src/raft/configuration.ts';
import type { Entry, RaftOptions, Snapshot } from '../../src/raft/types.ts';
import { MemoryDisk } from '../raft/network.ts';
import type { Cluster } from './cluster.ts';
import type { Command } from './command.ts';
import { ScenarioNode } from './node.ts';
import { encodeConfChange, encodeText, seal } from './payload.ts';

export const ELECTION_TICKS_MIN = 10;
export const ELECTION_TICKS_MAX = 20;
export const HEARTBEAT_TICKS = 1;

/** Ids are numbers in the order of creation, and sort as texts: so there are no two digits. */
const NODES_MAX = 9;

/** Far above what a scenario proposes, so that a bound is met only where one is set. */
const BYTES_MAX = 1 << 20;
const INFLIGHT_MESSAGES_MAX = 128;

/** Options that etcd can switch, and what is the case here. */
const NOTES: Readonly<Record<string, string>> = {
  prevote: 'pre-vote is always on',
  checkquorum: 'a leader always checks its quorum',
  'read-only': 'reads always wait for a quorum',
  'step-down-on-removal': 'a leader that is removed always steps down',
};

export function addNodes(cluster: Cluster, command: Command): void {
  const count = command.number('the number of nodes');
  const template = templateFrom(command);
  noteWhatIsFixed(cluster, command);
  command.finish(false);
  for (let added = 0; added < count; added++) {
    const number = cluster.nodes.length + 1;
    if (number > NODES_MAX) throw command.error(`there are at most ${NODES_MAX} nodes`);
    cluster.add(template(String(number)));
  }
}

function noteWhatIsFixed(cluster: Cluster, command: Command): void {
  for (const [key, note] of Object.entries(NOTES)) {
    if (command.option(key) !== null) cluster.transcript.line(`note: ${key} has no effect, ${note}`);
  }
}

function templateFrom(command: Command): (id: NodeId) => ScenarioNode {
  const raft = raftOptionsFrom(command);
  const disk = diskFrom(command);
  const isAsync = command.flag('async-storage-writes') ?? false;
  const committedBytesMax = command.numberOption('max-committed-size-per-ready') ?? BYTES_MAX;
  return (id) => new ScenarioNode({ raft: { ...raft, id }, disk: disk(), isAsync, committedBytesMax });
}

function raftOptionsFrom(command: Command): Omit<RaftOptions, 'id' | 'prng'> {
  return {
    electionTicksMin: ELECTION_TICKS_MIN,
    electionTicksMax: ELECTION_TICKS_MAX,
    heartbeatTicks: HEARTBEAT_TICKS,
    appendBytesMax: command.numberOption('max-append-bytes') ?? BYTES_MAX,
    inflightMessagesMax: command.numberOption('inflight') ?? INFLIGHT_MESSAGES_MAX,
    inflightBytesMax: command.numberOption('max-inflight-bytes') ?? BYTES_MAX,
    uncommittedBytesMax: command.numberOption('max-uncommitted-bytes') ?? BYTES_MAX,
    seal,
    encodeConfChange,
  };
}

/** A founding snapshot, then one entry for each term in `log`. */
function diskFrom(command: Command): () => MemoryDisk {
  const snapshot = snapshotFrom(command);
  const { index } = snapshot.meta;
  const entries: Entry[] = (command.list('log') ?? []).map((text, offset) => {
    const term: Term = Number(text);
    if (!Number.isSafeInteger(term) || term < 1) throw command.error(`log holds terms, not "${text}"`);
    return entryOf(term, index + 1 + offset);
  });
  const term = command.numberOption('term') ?? entries.at(-1)?.term ?? snapshot.meta.term;
  const hardState = { term, vote: command.option('vote'), commit: command.numberOption('commit') ?? index };
  return () => new MemoryDisk(hardState, snapshot, entries);
}

/** Its text is made of its place, for equal places must hold equal entries on all nodes. */
function entryOf(term: Term, index: LogIndex): Entry {
  return { term, index, record: seal(term, index, encodeText(`${term}-${index}`)) };
}

/** Who is given no voters knows nobody, and waits for a leader to bring a snapshot. */
function snapshotFrom(command: Command): Snapshot {
  const voters = command.list('voters');
  const learners = command.list('learners') ?? [];
  const index = command.numberOption('index');
  const data = encodeText(command.option('content') ?? '');
  if (voters === null) {
    if (index !== null || learners.length > 0) throw command.error('voters is missing');
    return { meta: { index: 0, term: 0, configuration: NOBODY }, data };
  }
  return { meta: { index: index ?? 1, term: 1, configuration: configurationOf(voters, learners) }, data };
}
