/**
 * Describe: messages, entries and Ready as the lines of a transcript.
 *
 * The forms resemble those of etcd's interaction tests, so that whoever reads the one can read the other. They are made
 * for the diff: one thing a line, the same order always, nothing that is of no interest.
 */
import { unreachable } from '../../src/base/assert.ts';
import type { LogIndex, Term } from '../../src/base/types.ts';
import type {
  Configuration,
  Entry,
  HardState,
  RaftMessage,
  Ready,
  Role,
  Snapshot,
  Write,
} from '../../src/raft/types.ts';
import { changeText, contentOf } from './payload.ts';

/** Longer texts are cut: what matters of them is that they are long. */
const TEXT_LENGTH_MAX = 32;

const ROLE_NAMES: Readonly<Record<Role, string>> = {
  follower: 'StateFollower',
  'pre-candidate': 'StatePreCandidate',
  candidate: 'StateCandidate',
  leader: 'StateLeader',
};

const MESSAGE_NAMES: Readonly<Record<RaftMessage['type'], string>> = {
  'pre-vote': 'MsgPreVote',
  'pre-vote-reply': 'MsgPreVoteResp',
  vote: 'MsgVote',
  'vote-reply': 'MsgVoteResp',
  append: 'MsgApp',
  'append-reply': 'MsgAppResp',
  heartbeat: 'MsgHeartbeat',
  'heartbeat-reply': 'MsgHeartbeatResp',
  snapshot: 'MsgSnap',
  'timeout-now': 'MsgTimeoutNow',
};

export function roleName(role: Role): string {
  return ROLE_NAMES[role];
}

/** Null for a name that no message has. */
export function messageTypeOf(name: string): RaftMessage['type'] | null {
  const found = Object.entries(MESSAGE_NAMES).find(([, known]) => known === name);
  return (found?.[0] as RaftMessage['type'] | undefined) ?? null;
}

export function messageText(message: RaftMessage): string {
  const { from, to, term, type } = message;
  return `${from}->${to} ${MESSAGE_NAMES[type]} Term:${term} ${bodyText(message)}`;
}

function bodyText(message: RaftMessage): string {
  switch (message.type) {
    case 'pre-vote':
      return `Log:${position(message.lastTerm, message.lastIndex)} ${claimText(message)}`;
    case 'vote': {
      const transfer = message.transfer ? ' Transfer' : '';
      return `Log:${position(message.lastTerm, message.lastIndex)} ${claimText(message)}${transfer}`;
    }
    case 'pre-vote-reply':
    case 'vote-reply':
      return `${claimText(message)}${message.granted ? '' : ' Rejected'}`;
    case 'append': {
      const entries = message.entries.map(entryText).join(', ');
      const head = `Log:${position(message.prevTerm, message.prevIndex)} Commit:${message.commit}`;
      return entries === '' ? head : `${head} Entries:[${entries}]`;
    }
    case 'append-reply': {
      const { index, rejected, hintIndex, hintTerm } = message;
      return rejected ? `Log:${index} Rejected (Hint: ${position(hintTerm, hintIndex)})` : `Log:${index}`;
    }
    case 'heartbeat':
      return `Commit:${message.commit} Match:${message.match} Round:${message.round}`;
    case 'heartbeat-reply':
      return `Round:${message.round}${message.regressed ? ' Regressed' : ''}`;
    case 'snapshot':
      return `Snapshot:[${snapshotText(message.snapshot)}]`;
    case 'timeout-now':
      return `Round:${message.round}`;
    default:
      return unreachable(message);
  }
}

/** What the sender of a vote, or of the answer to one, knows to be committed. */
function claimText(message: { commitTerm: Term; commit: LogIndex }): string {
  return `Commit:${position(message.commitTerm, message.commit)}`;
}

/** Term and index of an entry, in etcd's way. */
function position(term: Term, index: LogIndex): string {
  return `${term}/${index}`;
}

export function entryText(entry: Entry): string {
  const content = contentOf(entry);
  const text =
    content.kind === 'text' ? `EntryNormal ${quoted(content.text)}` : `EntryConfChange ${changeText(content.change)}`;
  return `${position(entry.term, entry.index)} ${text}`;
}

function quoted(text: string): string {
  if (text.length <= TEXT_LENGTH_MAX) return JSON.stringify(text);
  return `${JSON.stringify(text.slice(0, TEXT_LENGTH_MAX))}... (${text.length} long)`;
}

export function hardStateText(state: HardState): string {
  return `HardState Term:${state.term} Vote:${state.vote ?? 'none'} Commit:${state.commit}`;
}

export function snapshotText(snapshot: Snapshot): string {
  const { index, term, configuration } = snapshot.meta;
  const data = Buffer.from(snapshot.data).toString().split('\n').join(' ');
  return `Index:${index} Term:${term} ${configurationText(configuration)} Data:${quoted(data)}`;
}

/** The half that decides alone later stands first; what is empty is left out. */
export function configurationText(configuration: Configuration): string {
  const { voters, votersOutgoing, learners, learnersNext, autoLeave } = configuration;
  const parts = [`voters=(${voters.join(' ')})${votersOutgoing.length > 0 ? `&&(${votersOutgoing.join(' ')})` : ''}`];
  if (learners.length > 0) parts.push(`learners=(${learners.join(' ')})`);
  if (learnersNext.length > 0) parts.push(`learners_next=(${learnersNext.join(' ')})`);
  if (autoLeave) parts.push('autoleave');
  return parts.join(' ');
}

/** All that one turn of the driver does for a node: the batch for the disk, if any, and the rest. */
export function turnLines(write: Write | null, ready: Ready | null): string[] {
  const lines = [`Ready MustSync=${write !== null}:`];
  if (write !== null) {
    if (write.hardState !== null) lines.push(hardStateText(write.hardState));
    if (write.snapshot !== null) lines.push(`Snapshot ${snapshotText(write.snapshot)}`);
    section(lines, 'Entries:', write.entries.map(entryText));
  }
  if (ready !== null) {
    if (ready.snapshot !== null) lines.push(`Install ${snapshotText(ready.snapshot)}`);
    section(lines, 'CommittedEntries:', ready.committed.map(entryText));
    section(
      lines,
      'Reads:',
      ready.reads.map((read) => `${read.id} at ${read.index}`),
    );
    section(lines, 'FailedReads:', ready.failedReads.map(String));
    section(lines, 'Messages:', ready.messages.map(messageText));
  }
  section(lines, 'Messages after the write:', write?.messages.map(messageText) ?? []);
  return lines;
}

function section(lines: string[], heading: string, items: readonly string[]): void {
  if (items.length > 0) lines.push(heading, ...items);
}
