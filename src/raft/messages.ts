/**
 * Messages: the kinds of them that the core treats alike.
 */
import type { Term } from '../base/types.ts';
import type { RaftMessage } from './types.ts';

export type VoteRequest = Extract<RaftMessage, { type: 'vote' | 'pre-vote' }>;
export type VoteReply = Extract<RaftMessage, { type: 'vote-reply' | 'pre-vote-reply' }>;
export type Heartbeat = Extract<RaftMessage, { type: 'heartbeat' }>;
export type TimeoutNow = Extract<RaftMessage, { type: 'timeout-now' }>;

/** What of a vote request is not the same whoever asks. */
export type VoteKind =
  | { readonly type: 'pre-vote'; readonly term: Term }
  | { readonly type: 'vote'; readonly term: Term; readonly transfer: boolean };

export function isVoteReply(message: RaftMessage): message is VoteReply {
  return message.type === 'pre-vote-reply' || message.type === 'vote-reply';
}

/** Whether the sender was asked. Anything else it says of its own accord. */
export function isAnswer(message: RaftMessage): boolean {
  return message.type.endsWith('-reply');
}
