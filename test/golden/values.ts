/**
 * One of everything that crosses a version: each message, each command of the log, and the story of a data directory.
 * Fixed values, chosen so that no two fields of one kind are equal and each takes more than one byte where it can.
 *
 * The compiler asks for a value as soon as there is a new message or command.
 */
import { sealRecord } from '../../src/base/record.ts';
import type { MemberChange } from '../../src/daemon/roster.ts';
import type { Configuration } from '../../src/raft/types.ts';
import type { Command, JobSpec, ScheduledSpec } from '../../src/ranges/types.ts';
import type { Formation } from '../../src/store/types.ts';
import type { Hello, Refusal, WireMessage } from '../../src/wire/messages.ts';

type MessageOf<T extends WireMessage['type']> = Extract<WireMessage, { readonly type: T }>;
type CommandOf<K extends Command['kind']> = Extract<Command, { readonly kind: K }>;

export const ENDS = { from: 'n2', to: 'n1' } as const;
export const CLUSTER_ID = '0c7a5e7e-0000-4000-8000-000000000001';
const JOB_1 = '10b00000-0000-4000-8000-000000000001';
const JOB_2 = '10b00000-0000-4000-8000-000000000002';
const PLACES = [
  { id: 'n1', address: '127.0.0.1:7071' },
  { id: 'n2', address: '[::1]:7072' },
] as const;

const CONFIGURATION: Configuration = {
  voters: ['n1', 'n2'],
  votersOutgoing: ['n1', 'n3'],
  learners: ['n4'],
  learnersNext: ['n3'],
  autoLeave: true,
};

export const HELLO: Hello = {
  protocol: 1,
  protocolMin: 1,
  clusterId: CLUSTER_ID,
  nodeId: 'n2',
  instanceId: '1257a0ce-0000-4000-8000-000000000002',
  role: 'voter',
  address: '[::1]:7072',
  joining: true,
  sessionTtlMs: 5_000,
  empty: false,
  members: PLACES,
};

export const REFUSAL: Refusal = { code: 'STRANGER', detail: 'who are you? — nobody' };

/** Of things that differ, each with a hash of its own. */
const HANDLES = {
  input: { hash: '1a'.repeat(32), bytes: 70_000, rows: 2_000, schema: '00112233445566aa' },
  output: { hash: '2b'.repeat(32), bytes: 80_000, rows: 3_000, schema: '00112233445566bb' },
  checkpoint: { hash: '3c'.repeat(32), bytes: 90_000, rows: 4_000, schema: '00112233445566cc' },
  state: { hash: '4d'.repeat(32), bytes: 100_000, rows: 5_000, schema: '00112233445566dd' },
  result: { hash: '5e'.repeat(32), bytes: 110_000, rows: 6_000, schema: '00112233445566ee' },
} as const;
const CHECKPOINT = { stage: 2, fingerprint: 'f00d', handle: HANDLES.checkpoint } as const;
const OUTPUTS = [{ start: 10, end: 60, handle: HANDLES.output, stamp: 4 }] as const;
const NO_DATA = { outputs: [], checkpoint: null } as const;

const OPTIONS = {
  delivery: 'at-most-once',
  ...{ commitEvery: 100, commitIntervalMs: 200, taskSize: null, taskTimeoutMs: 60_000, memoryMb: 512, maxAttempts: 3 },
  ...{ priority: -5, weight: 10, maxConcurrency: 4, pointsPerSecond: 1_000 },
  tolerate: '2.5%',
  throttle: { kind: 'prometheus', url: 'http://metrics:9090', query: 'lag', holdAbove: 0.5, intervalMs: 5_000 },
  onDone: 'https://example.org/done',
  after: null,
  at: 1_767_225_600_000,
} as const;
const ORDER = {
  ...{ epoch: 70_000, job: JOB_1, name: 'mail', start: -5, end: 2 ** 53 - 1, cursor: 4_096, claimed: 4_100 },
  ...{ metadata: '{"template":"welcome"}', options: OPTIONS, attempts: 2 },
  ...{ input: HANDLES.input, checkpoint: CHECKPOINT },
} as const;
const OFFERS = [
  { name: 'mail', hash: 'ab12' },
  { name: 'exec', hash: 'cd34' },
] as const;
const PAYLOAD = Uint8Array.of(1, 2, 3);
const CLAIM = { commit: 300, commitTerm: 6 } as const;

export const MESSAGES: { readonly [T in WireMessage['type']]: MessageOf<T> } = {
  'pre-vote': { type: 'pre-vote', ...ENDS, term: 7, lastIndex: 301, lastTerm: 6, ...CLAIM },
  'pre-vote-reply': { type: 'pre-vote-reply', ...ENDS, term: 7, granted: true, ...CLAIM },
  vote: { type: 'vote', ...ENDS, term: 7, lastIndex: 301, lastTerm: 6, transfer: true, ...CLAIM },
  'vote-reply': { type: 'vote-reply', ...ENDS, term: 7, granted: false, ...CLAIM },
  append: {
    ...{ type: 'append', ...ENDS, term: 7, prevIndex: 300, prevTerm: 6, commit: 299 },
    entries: [
      { term: 6, index: 301, record: sealRecord(6, 301, new Uint8Array(0)) },
      { term: 7, index: 302, record: sealRecord(7, 302, PAYLOAD) },
    ],
  },
  'append-reply': { type: 'append-reply', ...ENDS, term: 7, index: 302, rejected: true, hintIndex: 290, hintTerm: 5 },
  heartbeat: { type: 'heartbeat', ...ENDS, term: 7, commit: 302, match: 301, round: 4_000_000_000 },
  'heartbeat-reply': { type: 'heartbeat-reply', ...ENDS, term: 7, round: 4_000_000_000, regressed: true },
  'timeout-now': { type: 'timeout-now', ...ENDS, term: 7, round: 90 },
  'snapshot-offer': {
    ...{ type: 'snapshot-offer', term: 7, attempt: 3, bytes: 1_000_000, hash: 'ef56' },
    meta: { index: 250, term: 5, configuration: CONFIGURATION },
  },
  'snapshot-chunk': { type: 'snapshot-chunk', term: 7, attempt: 3, offset: 262_144, crc: 4_294_967_295, data: PAYLOAD },
  'snapshot-ack': { type: 'snapshot-ack', term: 7, attempt: 3, offset: 524_288 },
  'state-hash': { type: 'state-hash', index: 10_000, hash: '0a1b' },
  join: { type: 'join', nonce: 123_456, instanceId: 'i-w1', address: 'w1.example:7080', slots: 8, offers: OFFERS },
  keep: { type: 'keep', incarnation: 65_536, offers: [{ epoch: 70_000, end: 8_192 }] },
  'keep-alive': { type: 'keep-alive', incarnation: 65_536, sequence: 12, epochs: [70_000, 70_001], draining: true },
  report: {
    ...{ type: 'report', incarnation: 65_536, sequence: 13 },
    reports: [
      {
        epoch: 70_000,
        cursor: -1,
        begun: 4,
        claimed: 5,
        ending: null,
        error: '',
        outputs: [],
        checkpoint: { ...CHECKPOINT, stamp: 9 },
      },
      {
        epoch: 70_001,
        cursor: 10,
        begun: 10,
        claimed: 10,
        ending: 'complete',
        error: '',
        outputs: OUTPUTS,
        checkpoint: null,
      },
      { epoch: 70_002, cursor: 11, begun: 12, claimed: 11, ending: 'fail', error: 'ö', ...NO_DATA },
      { epoch: 70_003, cursor: 12, begun: 13, claimed: 12, ending: 'release', error: '', ...NO_DATA },
    ],
  },
  joined: { type: 'joined', nonce: 123_456, incarnation: 65_536, sessionTtlMs: 5_000 },
  'join-refused': { type: 'join-refused', nonce: 123_456, code: 'INSTANCE_MISMATCH', detail: 'another one' },
  leases: {
    ...{ type: 'leases', incarnation: 65_536, sequence: 12, appliedIndex: 70_010 },
    ...{ epochs: [70_000, 70_001], orders: [ORDER], release: [70_001], shrink: [70_000], drain: false },
  },
  reported: {
    ...{ type: 'reported', incarnation: 65_536, sequence: 13 },
    results: [
      { epoch: 70_000, cursor: 3, claimed: 4, end: 10, state: 'live', checkpoint: 2 },
      { epoch: 70_001, cursor: 10, claimed: 10, end: 10, state: 'ended', checkpoint: null },
      { epoch: 70_002, cursor: 0, claimed: 0, end: 0, state: 'stale', checkpoint: null },
    ],
  },
  ended: { type: 'ended', incarnation: 65_536 },
  leader: { type: 'leader', leader: 'n1', term: 7, members: PLACES },
  form: { type: 'form', formation: { clusterId: CLUSTER_ID, members: [{ ...PLACES[0], instanceId: 'i-n1' }] } },
  formed: { type: 'formed' },
  enlist: { type: 'enlist', promote: true },
  enlisted: { type: 'enlisted', id: 'n4', clusterId: CLUSTER_ID },
  'enlist-refused': { type: 'enlist-refused', code: 'REMOVED', detail: 'you left' },
  expelled: { type: 'expelled', code: 'LOG_DAMAGED', detail: 'you forgot' },
};

const AT = 1_767_225_600_000;

function spec(id: string, changes: Partial<JobSpec> = {}): JobSpec {
  const base = {
    id,
    name: 'mail',
    start: 0,
    end: 1_000,
    metadata: '{"template":"welcome"}',
    exposure: 'window',
    overseen: false,
    input: null,
    inputName: null,
    collects: false,
  } as const;
  return { ...base, options: OPTIONS, ...changes };
}

function work(): ScheduledSpec {
  const { id: _, ...rest } = spec(JOB_1);
  return rest;
}

export const COMMANDS: { readonly [K in Command['kind']]: CommandOf<K> } = {
  'submit-job': { kind: 'submit-job', stamp: null, at: AT, spec: spec(JOB_1) },
  'control-job': { kind: 'control-job', at: AT + 1, id: JOB_1, action: 'resume' },
  'worker-join': {
    ...{ kind: 'worker-join', at: AT + 2, worker: 'w1', instanceId: 'i-w1', address: 'w1.example:7080' },
    ...{ slots: 8, offers: OFFERS },
  },
  'worker-expire': { kind: 'worker-expire', at: AT + 3, worker: 'w1', incarnation: 4, reason: 'silence' },
  'worker-suspect': { kind: 'worker-suspect', worker: 'w1', incarnation: 4, quarters: 2 },
  'worker-heard': { kind: 'worker-heard', worker: 'w1', incarnation: 4 },
  grant: { kind: 'grant', at: AT + 4, job: JOB_1, worker: 'w1', incarnation: 4, size: 100, retry: null },
  progress: {
    ...{ kind: 'progress', at: AT + 5 },
    cursors: [
      { epoch: 5, cursor: 60, claimed: 60, outputs: OUTPUTS },
      { epoch: 6, cursor: 100, claimed: 110, outputs: [] },
    ],
  },
  complete: { kind: 'complete', outputs: [], at: AT + 6, epoch: 5, cursor: 100, begun: 100 },
  fail: { kind: 'fail', outputs: [], at: AT + 7, epoch: 6, cursor: 150, begun: 151, error: 'no such user: 150' },
  release: { kind: 'release', outputs: [], at: AT + 8, epoch: 7, cursor: 250, begun: 260 },
  'retry-job': { kind: 'retry-job', at: AT + 9, id: JOB_1, range: { start: -5, end: 250 }, uncertain: true },
  'set-job': { kind: 'set-job', at: AT + 10, id: JOB_1, changes: { weight: 7, maxConcurrency: null, tolerate: '5%' } },
  'job-notified': { kind: 'job-notified', at: AT + 11, id: JOB_1, run: 1 },
  'put-schedule': {
    ...{ kind: 'put-schedule', at: AT + 12, nextAt: AT + 60_000 },
    schedule: { key: 'nightly', cron: '0 3 * * *', timeZone: 'Europe/Berlin', spec: work() },
  },
  'drop-schedule': { kind: 'drop-schedule', at: AT + 14, key: 'hourly' },
  'fire-schedule': {
    ...{ kind: 'fire-schedule', at: AT + 13, key: 'nightly', due: AT + 60_000, next: null, missed: 2 },
    id: '00000000-0000-4000-8000-000000000077',
  },
  shrink: { kind: 'shrink', at: AT + 9, epoch: 5, end: 80 },
  'put-dataset': {
    ...{ kind: 'put-dataset', at: AT + 15, name: 'words', stamp: 3, expected: 0, ttlMs: 86_400_000, pinned: false },
    handle: { hash: 'ab'.repeat(32), bytes: 1_048_576, rows: 8_192, schema: '0123456789abcdef' },
  },
  'drop-dataset': { kind: 'drop-dataset', at: AT + 17, name: 'letters', expected: null },
  'pin-dataset': { kind: 'pin-dataset', at: AT + 16, name: 'words', pinned: true },
  condemn: { kind: 'condemn', hashes: ['cd'.repeat(32)] },
  checkpoint: { kind: 'checkpoint', at: AT + 18, epoch: 20, checkpoint: CHECKPOINT, stamp: 19 },
  'take-master': { kind: 'take-master', at: AT + 19, job: JOB_1 },
  fold: {
    ...{ kind: 'fold', at: AT + 20, job: JOB_1, epoch: 22, outputs: [10, -60], state: HANDLES.state, stamp: 21 },
  },
  'finish-master': { kind: 'finish-master', at: AT + 21, job: JOB_1, epoch: 22, result: HANDLES.result, stamp: 22 },
  'master-failed': { kind: 'master-failed', at: AT + 22, job: JOB_1, epoch: 22, error: 'the ledger is full' },
};

export const MEMBER_CHANGE: MemberChange = {
  change: { transition: 'auto', changes: [{ kind: 'add-learner', id: 'n4' }] },
  newcomers: [{ id: 'n4', instanceId: 'i-n4', address: '127.0.0.1:7074', promote: true }],
};

export const FORMATION: Omit<Formation, 'members'> & { readonly places: typeof PLACES } = {
  clusterId: CLUSTER_ID,
  places: PLACES,
};

/** What the log of the data directory tells, from index 2 on: every kind of command, and a change of the members. */
export const STORY: readonly (Command | MemberChange | null)[] = [
  null,
  COMMANDS['submit-job'],
  COMMANDS['worker-join'],
  COMMANDS.grant,
  { ...COMMANDS.grant, at: AT + 4 },
  { ...COMMANDS.grant, size: 60 },
  COMMANDS.progress,
  COMMANDS.complete,
  { kind: 'submit-job', stamp: null, at: AT + 6, spec: spec(JOB_2, { end: 7, exposure: 'task', overseen: true }) },
  COMMANDS.fail,
  MEMBER_CHANGE,
  { ...COMMANDS.grant, job: JOB_2, at: AT + 7 },
  { kind: 'complete', outputs: [], at: AT + 8, epoch: 13, cursor: 7, begun: 7 },
  COMMANDS.release,
  COMMANDS['worker-suspect'],
  COMMANDS['worker-heard'],
  { ...COMMANDS['control-job'], action: 'pause' },
  COMMANDS['control-job'],
  { ...COMMANDS.grant, at: AT + 9 },
  COMMANDS['worker-expire'],
];
