/**
 * Codec: frames to bytes and back. Untrusted bytes stop here.
 *
 * A frame is one MessagePack array `[tag, …fields]`, without maps, records or extensions, so that what a frame means
 * never depends on the frames before it. Entries travel as their records, the very bytes that lie on every disk; the
 * receiver opens each one and takes term and index from under its checksum. A Raft message does not say who sent it:
 * `from` is the node that said hello on this connection.
 *
 * Invariant: `decodeFrame` gives a valid frame or throws BAD_FRAME, whatever the bytes are, and what it allocates is
 * bounded by the bytes that it was given.
 */
import { Packr, Unpackr } from 'msgpackr';
import type { NodeId } from '../base/types.ts';
import { bodies, hello, type MessageType, refusal } from './bodies.ts';
import type { Hello, RaftWireMessage, Refusal, WireMessage } from './messages.ts';
import { scanFrame } from './scan.ts';
import { badFrame, type Struct } from './shapes.ts';

/** The two nodes of a connection, as seen from the receiver. */
export interface Ends {
  readonly from: NodeId;
  readonly to: NodeId;
}

export type Frame =
  | { readonly kind: 'hello'; readonly hello: Hello }
  | { readonly kind: 'refusal'; readonly refusal: Refusal }
  | { readonly kind: 'welcome' }
  | { readonly kind: 'message'; readonly message: WireMessage };

const HELLO_TAG = 0;
const REFUSAL_TAG = 1;
const WELCOME_TAG = 2;
const FIRST_MESSAGE_TAG = 3;

/** Position gives the tag: a new type goes to the end. */
const TYPES: readonly MessageType[] = [
  'pre-vote',
  'pre-vote-reply',
  'vote',
  'vote-reply',
  'append',
  'append-reply',
  'heartbeat',
  'heartbeat-reply',
  'snapshot-offer',
  'join',
  'keep-alive',
  'report',
  'joined',
  'join-refused',
  'leases',
  'reported',
  'ended',
  'leader',
  'form',
  'formed',
  'snapshot-chunk',
  'snapshot-ack',
  'state-hash',
  'timeout-now',
  'enlist',
  'enlisted',
  'enlist-refused',
  'expelled',
  'keep',
];
const TAGS = new Map<MessageType, number>(TYPES.map((type, position) => [type, FIRST_MESSAGE_TAG + position]));
const RAFT_TYPES: ReadonlySet<string> = new Set<RaftWireMessage['type']>([
  'pre-vote',
  'pre-vote-reply',
  'vote',
  'vote-reply',
  'append',
  'append-reply',
  'heartbeat',
  'heartbeat-reply',
  'timeout-now',
]);

const packr = new Packr({ useRecords: false, moreTypes: false });
const unpackr = new Unpackr({ useRecords: false, moreTypes: false });

export function encodeHello(value: Hello): Uint8Array {
  return packr.pack([HELLO_TAG, ...hello.encode(value)]);
}

export function encodeRefusal(value: Refusal): Uint8Array {
  return packr.pack([REFUSAL_TAG, ...refusal.encode(value)]);
}

/** Says that the other side's hello is accepted. */
export function encodeWelcome(): Uint8Array {
  return packr.pack([WELCOME_TAG]);
}

export function encodeMessage(message: WireMessage): Uint8Array {
  return packr.pack([TAGS.get(message.type), ...bodyOf(message.type).encode(message)]);
}

/**
 * @param ends null until the other side has said hello; a message is then no valid frame.
 * @throws PolarisError BAD_FRAME.
 */
export function decodeFrame(bytes: Uint8Array, ends: Ends | null): Frame {
  scanFrame(bytes);
  const [tag, ...fields] = unpackArray(bytes);
  if (tag === HELLO_TAG) return { kind: 'hello', hello: hello.decode(fields, 'hello') };
  if (tag === REFUSAL_TAG) return { kind: 'refusal', refusal: refusal.decode(fields, 'refusal') };
  if (tag === WELCOME_TAG && fields.length === 0) return { kind: 'welcome' };
  const type = typeof tag === 'number' ? TYPES[tag - FIRST_MESSAGE_TAG] : undefined;
  if (type === undefined) throw badFrame('an unknown tag');
  if (ends === null) throw badFrame(`${type} came before the hello`);
  const body = bodyOf(type).decode(fields, type);
  const envelope = RAFT_TYPES.has(type) ? { type, from: ends.from, to: ends.to } : { type };
  const message = { ...envelope, ...body } as WireMessage;
  if (message.type === 'append') checkAppend(message);
  return { kind: 'message', message };
}

/** Of a connection on which both hellos were said. @throws PolarisError BAD_FRAME, also for a hello or a refusal. */
export function decodeMessage(bytes: Uint8Array, ends: Ends): WireMessage {
  const frame = decodeFrame(bytes, ends);
  if (frame.kind !== 'message') throw badFrame(`a ${frame.kind} in the place of a message`);
  return frame.message;
}

/** The table is exact for each type; which type it is, only the caller's message knows. */
function bodyOf(type: MessageType): Struct<object> {
  return bodies[type] as Struct<object>;
}

function unpackArray(bytes: Uint8Array): unknown[] {
  let value: unknown;
  try {
    value = unpackr.unpack(bytes);
  } catch (cause) {
    throw badFrame('it cannot be unpacked', cause);
  }
  if (!Array.isArray(value)) throw badFrame('it is not an array');
  return value;
}

/** Raft leans on these: entries follow `prevIndex` without a gap, terms never fall, none is above the sender's. */
function checkAppend(append: Extract<RaftWireMessage, { type: 'append' }>): void {
  let index = append.prevIndex;
  let term = append.prevTerm;
  for (const each of append.entries) {
    if (each.index !== index + 1) throw badFrame(`entry ${each.index} follows entry ${index}`);
    if (each.term < term || each.term > append.term) throw badFrame(`entry ${each.index} has term ${each.term}`);
    index = each.index;
    term = each.term;
  }
}
