/** Generators of valid messages, one for each type, for the tests of codec and peers. */
import fc from 'fast-check';
import { sealRecord } from '../../src/base/record.ts';
import type { Entry } from '../../src/raft/types.ts';
import { DELIVERIES } from '../../src/ranges/deliveries.ts';
import type { Hello, WireMessage } from '../../src/wire/messages.ts';

export const ENDS = { from: 'n2', to: 'n1' } as const;

const count = fc.oneof(fc.nat(), fc.maxSafeNat());
const point = fc.maxSafeInteger();
const id = fc.stringMatching(/^[A-Za-z0-9._-]{1,64}$/);
const uuid = fc.uuid({ version: 4 });
const address = fc.tuple(fc.domain(), fc.integer({ min: 1, max: 65_535 })).map(([host, port]) => `${host}:${port}`);
const epochs = fc.array(count, { maxLength: 20 });
const words = fc.string({ unit: 'grapheme', maxLength: 100 });
const members = fc.array(fc.record({ id, address }, { noNullPrototype: true }), { maxLength: 5 });

/** An append as a leader sends it: entries without a gap, terms that never fall. */
const append = fc
  .record({
    prevIndex: fc.nat(),
    prevTerm: fc.nat(1_000),
    commit: count,
    payloads: fc.array(fc.tuple(fc.uint8Array({ maxLength: 64 }), fc.nat(3)), { maxLength: 10 }),
  })
  .map(({ prevIndex, prevTerm, commit, payloads }): WireMessage => {
    let term = prevTerm;
    const entries = payloads.map(([payload, rise], offset): Entry => {
      term += rise;
      const index = prevIndex + 1 + offset;
      return { term, index, record: sealRecord(term, index, payload) };
    });
    return { type: 'append', ...ENDS, term, prevIndex, prevTerm, commit, entries };
  });

const handle = fc.record({
  hash: fc.constantFrom('ab'.repeat(32), 'cd'.repeat(32)),
  bytes: fc.nat(),
  rows: count,
  schema: fc.constantFrom('0123456789abcdef', 'fedcba9876543210'),
});
const checkpoint = { stage: fc.nat({ max: 63 }), fingerprint: id, handle };

const order = fc.record(
  {
    epoch: count,
    job: uuid,
    name: id,
    start: point,
    end: point,
    cursor: point,
    claimed: point,
    metadata: fc.json(),
    options: fc.record(
      {
        delivery: fc.constantFrom(...DELIVERIES),
        ...{ commitEvery: count, commitIntervalMs: count, taskSize: fc.option(count), maxAttempts: count },
        ...{ taskTimeoutMs: fc.option(count), memoryMb: fc.option(count), priority: point, weight: count },
        ...{ maxConcurrency: fc.option(count), pointsPerSecond: fc.option(count) },
        tolerate: fc.constantFrom(0, 1_000, '0.01%', '100%'),
        throttle: fc.constantFrom(null, { kind: 'url', url: 'http://h/', intervalMs: 5_000 }),
        ...{ onDone: fc.constantFrom(null, 'http://h/'), after: fc.option(uuid), at: fc.option(count) },
      },
      { noNullPrototype: true },
    ),
    attempts: count,
    input: fc.option(handle),
    checkpoint: fc.option(fc.record(checkpoint)),
  },
  { noNullPrototype: true },
);

const report = fc.record(
  {
    epoch: count,
    cursor: point,
    begun: point,
    claimed: point,
    ending: fc.constantFrom(null, 'complete' as const, 'fail' as const, 'release' as const),
    error: words,
    outputs: fc.array(fc.record({ start: point, end: point, handle, stamp: count }), { maxLength: 3 }),
    checkpoint: fc.option(fc.record({ ...checkpoint, stamp: count })),
  },
  { noNullPrototype: true },
);

const result = fc.record(
  {
    epoch: count,
    cursor: point,
    claimed: point,
    end: point,
    state: fc.constantFrom('live' as const, 'ended' as const, 'stale' as const, 'refused' as const),
    checkpoint: fc.option(count),
  },
  { noNullPrototype: true },
);

function of<const K extends WireMessage['type']>(
  type: K,
  body: Record<string, fc.Arbitrary<unknown>>,
  ends: object = {},
): fc.Arbitrary<WireMessage> {
  return fc.record(body, { noNullPrototype: true }).map((fields) => ({ type, ...ends, ...fields }) as WireMessage);
}

const ids = fc.array(id, { maxLength: 5 });
const configuration = fc.record(
  { voters: ids, votersOutgoing: ids, learners: ids, learnersNext: ids, autoLeave: fc.boolean() },
  { noNullPrototype: true },
);

const meta = fc.record({ index: count, term: count, configuration }, { noNullPrototype: true });

const formation = fc.record(
  {
    clusterId: uuid,
    members: fc.array(fc.record({ id, instanceId: uuid, address }, { noNullPrototype: true }), { maxLength: 5 }),
  },
  { noNullPrototype: true },
);

/** What a vote says of the commit index. */
const claim = { commit: count, commitTerm: count };

export const MESSAGES: { readonly [K in WireMessage['type']]: fc.Arbitrary<WireMessage> } = {
  'pre-vote': of('pre-vote', { term: count, lastIndex: count, lastTerm: count, ...claim }, ENDS),
  'pre-vote-reply': of('pre-vote-reply', { term: count, granted: fc.boolean(), ...claim }, ENDS),
  vote: of('vote', { term: count, lastIndex: count, lastTerm: count, transfer: fc.boolean(), ...claim }, ENDS),
  'vote-reply': of('vote-reply', { term: count, granted: fc.boolean(), ...claim }, ENDS),
  append,
  'append-reply': of(
    'append-reply',
    { term: count, index: count, rejected: fc.boolean(), hintIndex: count, hintTerm: count },
    ENDS,
  ),
  heartbeat: of('heartbeat', { term: count, commit: count, match: count, round: count }, ENDS),
  'heartbeat-reply': of('heartbeat-reply', { term: count, round: count, regressed: fc.boolean() }, ENDS),
  'timeout-now': of('timeout-now', { term: count, round: count }, ENDS),
  'snapshot-offer': of('snapshot-offer', { term: count, attempt: count, meta, bytes: count, hash: id }),
  'snapshot-chunk': of('snapshot-chunk', {
    term: count,
    attempt: count,
    offset: count,
    crc: count,
    data: fc.uint8Array({ maxLength: 300 }),
  }),
  'snapshot-ack': of('snapshot-ack', { term: count, attempt: count, offset: count }),
  'state-hash': of('state-hash', { index: count, hash: id }),
  join: of('join', {
    nonce: count,
    instanceId: uuid,
    address,
    slots: count,
    offers: fc.array(fc.record({ name: id, hash: id }, { noNullPrototype: true }), { maxLength: 5 }),
  }),
  keep: of('keep', {
    incarnation: count,
    offers: fc.array(fc.record({ epoch: count, end: point }, { noNullPrototype: true })),
  }),
  'keep-alive': of('keep-alive', { incarnation: count, sequence: count, epochs, draining: fc.boolean() }),
  report: of('report', { incarnation: count, sequence: count, reports: fc.array(report, { maxLength: 5 }) }),
  joined: of('joined', { nonce: count, incarnation: count, sessionTtlMs: count }),
  'join-refused': of('join-refused', { nonce: count, code: id, detail: words }),
  leases: of('leases', {
    incarnation: count,
    sequence: count,
    appliedIndex: count,
    epochs,
    orders: fc.array(order, { maxLength: 3 }),
    shrink: fc.array(count),
    drain: fc.boolean(),
    release: epochs,
  }),
  reported: of('reported', { incarnation: count, sequence: count, results: fc.array(result, { maxLength: 5 }) }),
  ended: of('ended', { incarnation: count }),
  leader: of('leader', { leader: fc.option(id), term: count, members }),
  form: of('form', { formation }),
  formed: of('formed', {}),
  enlist: of('enlist', { promote: fc.boolean() }),
  enlisted: of('enlisted', { id, clusterId: id }),
  'enlist-refused': of('enlist-refused', { code: id, detail: words }),
  expelled: of('expelled', { code: id, detail: words }),
};

export const anyMessage: fc.Arbitrary<WireMessage> = fc.oneof(...Object.values(MESSAGES));

export const anyHello: fc.Arbitrary<Hello> = fc.record(
  {
    protocol: count,
    protocolMin: count,
    clusterId: fc.option(uuid),
    nodeId: id,
    instanceId: uuid,
    role: fc.constantFrom('voter' as const, 'worker' as const),
    address,
    joining: fc.boolean(),
    sessionTtlMs: count,
    empty: fc.boolean(),
    members,
  },
  { noNullPrototype: true },
);

/** Equal to the bytes whatever class holds them; the rest as it is. */
export function normal(value: unknown): unknown {
  if (value instanceof Uint8Array) return { bytes: Buffer.from(value).toString('hex') };
  if (Array.isArray(value)) return value.map(normal);
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([key, each]) => [key, normal(each)]));
}
