/**
 * Bodies: what is in every frame, field by field. The codec knows how frames look, this page what they say.
 *
 * The order of the fields here is their order on the wire: a change to this page is a new protocol version.
 */
import { PolarisError } from '../base/errors.ts';
import { type Handle, isBlobHash, isSchemaHash } from '../base/handle.ts';
import * as limits from '../base/limits.ts';
import { openRecord } from '../base/record.ts';
import type { Configuration, Entry, SnapshotMeta } from '../raft/types.ts';
import { readThrottle } from '../ranges/hooks.ts';
import { isTolerance } from '../ranges/options.ts';
import type {
  JobOptions,
  Offer,
  StageCheckpoint,
  StampedCheckpoint,
  StampedOutput,
  Throttle,
  Tolerance,
} from '../ranges/types.ts';
import type { Formation } from '../store/types.ts';
import type {
  Hello,
  LeaseOffer,
  Place,
  Refusal,
  ReportResult,
  TaskOrder,
  TaskReport,
  WireMessage,
} from './messages.ts';
import {
  badFrame,
  binary,
  count,
  flag,
  list,
  nullable,
  oneOf,
  point,
  prose,
  type Shape,
  type Struct,
  struct,
  text,
  upTo,
} from './shapes.ts';

const nodeId = text(limits.ID_LENGTH_MAX);
const address = text(limits.ADDRESS_LENGTH_MAX);
const token = text(limits.HASH_LENGTH_MAX);
const epochs = list(count, limits.SLOTS_MAX);
const errorText = prose(limits.ERROR_TEXT_MAX);

const entry: Shape<Entry> = {
  encode: ({ record }) => record,
  decode(raw, name) {
    const record = binary.decode(raw, name);
    try {
      const { term, index } = openRecord(record);
      return { term: count.decode(term, 'term'), index: count.decode(index, 'index'), record };
    } catch (cause) {
      if (cause instanceof PolarisError) throw badFrame(cause.detail, cause);
      throw cause;
    }
  },
};

const members = list(nodeId, limits.MEMBERS_MAX);
const places = list(struct<Place>({ id: nodeId, address }), limits.MEMBERS_MAX);
const configuration = struct<Configuration>({
  voters: members,
  votersOutgoing: members,
  learners: members,
  learnersNext: members,
  autoLeave: flag,
});

const snapshotMeta = struct<SnapshotMeta>({ index: count, term: count, configuration });

const formation = struct<Formation>({
  clusterId: token,
  members: list(struct<Formation['members'][number]>({ id: nodeId, instanceId: token, address }), limits.MEMBERS_MAX),
});

/** Points, or a share of them as text. */
const tolerance: Shape<Tolerance> = {
  encode: (value) => value,
  decode(raw, name) {
    if (!isTolerance(raw)) throw badFrame(`${name} is neither points nor a percentage`);
    return raw;
  },
};

/** As JSON text. */
const throttle: Shape<Throttle> = {
  encode: (value) => JSON.stringify(value),
  decode(raw, name) {
    const read = typeof raw === 'string' ? readThrottle(parsed(raw, name)) : null;
    if (read === null || 'complaint' in read) throw badFrame(`${name} is no throttle`);
    return read.throttle;
  },
};

function parsed(text: string, name: string): unknown {
  try {
    return JSON.parse(text);
  } catch (cause) {
    throw badFrame(`${name} is no JSON`, cause);
  }
}

const hash = (isHash: (text: string) => boolean): Shape<string> => ({
  encode: (value) => value,
  decode(raw, name) {
    if (typeof raw !== 'string' || !isHash(raw)) throw badFrame(`${name} is no hash`);
    return raw;
  },
});

const handle = struct<Handle>({
  hash: hash(isBlobHash),
  bytes: upTo(limits.BLOB_BYTES_MAX),
  rows: count,
  schema: hash(isSchemaHash),
});
const checkpoint = { stage: upTo(limits.STAGES_MAX - 1), fingerprint: text(limits.FINGERPRINT_LENGTH_MAX), handle };

const order = struct<TaskOrder>({
  epoch: count,
  job: token,
  name: text(limits.NAME_LENGTH_MAX),
  start: point,
  end: point,
  cursor: point,
  claimed: point,
  metadata: text(limits.METADATA_BYTES_MAX),
  options: struct<JobOptions>({
    delivery: oneOf('at-least-once', 'at-most-once', 'exactly-once'),
    commitEvery: count,
    commitIntervalMs: count,
    taskSize: nullable(count),
    taskTimeoutMs: nullable(count),
    memoryMb: nullable(count),
    maxAttempts: count,
    priority: point,
    weight: count,
    maxConcurrency: nullable(count),
    pointsPerSecond: nullable(count),
    tolerate: tolerance,
    throttle: nullable(throttle),
    onDone: nullable(text(limits.HOOK_URL_LENGTH_MAX)),
    after: nullable(token),
    at: nullable(count),
  }),
  attempts: count,
  input: nullable(handle),
  checkpoint: nullable(struct<StageCheckpoint>(checkpoint)),
});

const report = struct<TaskReport>({
  epoch: count,
  cursor: point,
  begun: point,
  claimed: point,
  ending: oneOf(null, 'complete', 'fail', 'release'),
  error: errorText,
  outputs: list(
    struct<StampedOutput>({ start: point, end: point, handle, stamp: count }),
    limits.OUTPUTS_PER_REPORT_MAX,
  ),
  checkpoint: nullable(struct<StampedCheckpoint>({ ...checkpoint, stamp: count })),
});

const result = struct<ReportResult>({
  epoch: count,
  cursor: point,
  claimed: point,
  end: point,
  state: oneOf('live', 'ended', 'stale', 'refused'),
  checkpoint: nullable(count),
});

export const hello = struct<Hello>({
  protocol: count,
  protocolMin: count,
  clusterId: nullable(token),
  nodeId,
  instanceId: token,
  role: oneOf('voter', 'worker'),
  address,
  joining: flag,
  sessionTtlMs: count,
  empty: flag,
  members: places,
});

export const refusal = struct<Refusal>({ code: token, detail: errorText });

/** Of a vote, and of its answer. */
const commitClaim = { commit: count, commitTerm: count };

export type MessageType = WireMessage['type'];
/** A message but for what the tag and the connection already say. */
type Body<K extends MessageType> = Omit<Extract<WireMessage, { type: K }>, 'type' | 'from' | 'to'>;
type Bodies = { readonly [K in MessageType]: Struct<Body<K>> };

/** Every message there is. The compiler proves that none is missing and that none lacks a field. */
export const bodies: Bodies = {
  'pre-vote': struct<Body<'pre-vote'>>({ term: count, lastIndex: count, lastTerm: count, ...commitClaim }),
  'pre-vote-reply': struct<Body<'pre-vote-reply'>>({ term: count, granted: flag, ...commitClaim }),
  vote: struct<Body<'vote'>>({ term: count, lastIndex: count, lastTerm: count, transfer: flag, ...commitClaim }),
  'vote-reply': struct<Body<'vote-reply'>>({ term: count, granted: flag, ...commitClaim }),
  append: struct<Body<'append'>>({
    term: count,
    prevIndex: count,
    prevTerm: count,
    entries: list(entry, limits.FRAME_VALUES_MAX),
    commit: count,
  }),
  'append-reply': struct<Body<'append-reply'>>({
    term: count,
    index: count,
    rejected: flag,
    hintIndex: count,
    hintTerm: count,
  }),
  heartbeat: struct<Body<'heartbeat'>>({ term: count, commit: count, match: count, round: count }),
  'heartbeat-reply': struct<Body<'heartbeat-reply'>>({ term: count, round: count, regressed: flag }),
  'timeout-now': struct<Body<'timeout-now'>>({ term: count, round: count }),
  'snapshot-offer': struct<Body<'snapshot-offer'>>({
    term: count,
    attempt: count,
    meta: snapshotMeta,
    bytes: count,
    hash: token,
  }),
  'snapshot-chunk': struct<Body<'snapshot-chunk'>>({
    term: count,
    attempt: count,
    offset: count,
    crc: count,
    data: binary,
  }),
  'snapshot-ack': struct<Body<'snapshot-ack'>>({ term: count, attempt: count, offset: count }),
  'state-hash': struct<Body<'state-hash'>>({ index: count, hash: token }),
  join: struct<Body<'join'>>({
    nonce: count,
    instanceId: token,
    address,
    slots: count,
    offers: list(struct<Offer>({ name: text(limits.NAME_LENGTH_MAX), hash: token }), limits.OFFERS_MAX),
  }),
  'keep-alive': struct<Body<'keep-alive'>>({ incarnation: count, sequence: count, epochs, draining: flag }),
  keep: struct<Body<'keep'>>({
    incarnation: count,
    offers: list(struct<LeaseOffer>({ epoch: count, end: point }), limits.SLOTS_MAX),
  }),
  report: struct<Body<'report'>>({
    incarnation: count,
    sequence: count,
    reports: list(report, limits.REPORTS_PER_MESSAGE_MAX),
  }),
  joined: struct<Body<'joined'>>({ nonce: count, incarnation: count, sessionTtlMs: count }),
  'join-refused': struct<Body<'join-refused'>>({ nonce: count, code: token, detail: errorText }),
  leases: struct<Body<'leases'>>({
    incarnation: count,
    sequence: count,
    appliedIndex: count,
    epochs,
    orders: list(order, limits.ORDERS_PER_MESSAGE_MAX),
    release: epochs,
    shrink: epochs,
    drain: flag,
  }),
  reported: struct<Body<'reported'>>({
    incarnation: count,
    sequence: count,
    results: list(result, limits.REPORTS_PER_MESSAGE_MAX),
  }),
  ended: struct<Body<'ended'>>({ incarnation: count }),
  leader: struct<Body<'leader'>>({ leader: nullable(nodeId), term: count, members: places }),
  form: struct<Body<'form'>>({ formation }),
  formed: struct<Body<'formed'>>({}),
  enlist: struct<Body<'enlist'>>({ promote: flag }),
  enlisted: struct<Body<'enlisted'>>({ id: nodeId, clusterId: token }),
  'enlist-refused': struct<Body<'enlist-refused'>>({ code: token, detail: errorText }),
  expelled: struct<Body<'expelled'>>({ code: token, detail: errorText }),
};
