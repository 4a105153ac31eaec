/**
 * Codec: commands as bytes of the log, and back.
 *
 * The leader encodes a command once; every replica, the leader too, applies what it decodes from those bytes. A command
 * that encodes but does not decode would stop all replicas at the same entry for ever, so encoding reads its own result
 * back through the same checks and refuses at the proposer instead.
 *
 * Invariants: equal commands give equal bytes · what was encoded decodes · numbers of kinds are never reused.
 */
import { unreachable } from '../base/assert.ts';
import { PolarisError } from '../base/errors.ts';
import {
  ADDRESS_LENGTH_MAX,
  CRON_LENGTH_MAX,
  CURSORS_PER_ENTRY_MAX,
  ERROR_TEXT_MAX,
  HASH_LENGTH_MAX,
  HOOK_URL_LENGTH_MAX,
  ID_LENGTH_MAX,
  METADATA_BYTES_MAX,
  NAME_LENGTH_MAX,
  OFFERS_MAX,
  SCHEDULE_KEY_LENGTH_MAX,
  SLOTS_MAX,
  THROTTLE_LENGTH_MAX,
  TIME_ZONE_LENGTH_MAX,
} from '../base/limits.ts';
import type { Range } from '../base/types.ts';
import {
  handleOrNone,
  keepingToFields,
  readDatasetNameOrNone,
  readHandleOrNone,
  readKeeping,
  readStamped,
  stampedToFields,
} from './codec-data.ts';
import { DELIVERIES } from './deliveries.ts';
import { Fields, type Packed, packFields, unpackFields } from './fields.ts';
import { readThrottle } from './hooks.ts';
import { isTolerance, NUMBER_OPTIONS } from './options.ts';
import { clipText, utf8Length } from './text.ts';
import type {
  Command,
  Controls,
  Ending,
  Headway,
  JobOptions,
  JobSpec,
  Offer,
  ScheduledSpec,
  ScheduleSpec,
  Throttle,
  Tolerance,
} from './types.ts';

/** A kind's place in this list is its number on disk: add at the end, never take one out. */
const KINDS = [
  'submit-job',
  'control-job',
  'worker-join',
  'worker-expire',
  'worker-suspect',
  'worker-heard',
  'grant',
  'progress',
  'complete',
  'fail',
  'release',
  'retry-job',
  'set-job',
  'job-notified',
  'put-schedule',
  'drop-schedule',
  'fire-schedule',
  'shrink',
  'put-dataset',
  'drop-dataset',
  'pin-dataset',
  'condemn',
  'checkpoint',
  'take-master',
  'fold',
  'finish-master',
  'master-failed',
] as const satisfies readonly Command['kind'][];
const ACTIONS = ['pause', 'resume', 'cancel'] as const;
/** Digits of 2^53-1. */
const TOLERANCE_LENGTH_MAX = 16;
type Staffing = 'worker-join' | 'worker-expire' | 'worker-suspect' | 'worker-heard';
type Steering = 'set-job' | 'job-notified' | 'put-schedule' | 'drop-schedule' | 'fire-schedule' | 'shrink';

const CONTROL_NAMES = ['priority', 'weight', 'maxConcurrency', 'pointsPerSecond', 'tolerate'] as const;
const EXPOSURES = ['window', 'task'] as const;

/**
 * Texts of errors and reasons are clipped to their limit; anything else out of bounds is refused.
 * @throws PolarisError BAD_REQUEST
 */
export function encodeCommand(command: Command): Uint8Array {
  const packed = commandToFields(command);
  try {
    fieldsToCommand(new Fields(packed, `command ${command.kind}`));
  } catch (cause) {
    if (!(cause instanceof PolarisError)) throw cause;
    throw new PolarisError('BAD_REQUEST', cause.detail, { cause });
  }
  return packFields(packed);
}

/** @throws PolarisError LOG_DAMAGED */
export function decodeCommand(bytes: Uint8Array): Command {
  return fieldsToCommand(unpackFields(bytes, 'a command of the log'));
}

function commandToFields(command: Command): readonly Packed[] {
  const kind = KINDS.indexOf(command.kind);
  switch (command.kind) {
    case 'submit-job':
      return [kind, command.at, specToFields(command.spec), command.stamp];
    case 'control-job':
      return [kind, command.at, command.id, ACTIONS.indexOf(command.action)];
    case 'retry-job': {
      const { at, id, range, uncertain } = command;
      return [kind, at, id, range === null ? null : range.start, range === null ? null : range.end, uncertain ? 1 : 0];
    }
    case 'set-job':
      return [kind, command.at, command.id, ...controlsToFields(command.changes)];
    case 'job-notified':
      return [kind, command.at, command.id, command.run];
    case 'put-schedule':
      return [kind, command.at, scheduleToFields(command.schedule), command.nextAt];
    case 'drop-schedule':
      return [kind, command.at, command.key];
    case 'fire-schedule': {
      const { at, key, due, next, missed, id } = command;
      return [kind, at, key, due, next, missed, id];
    }
    case 'shrink':
      return [kind, command.at, command.epoch, command.end];
    case 'put-dataset':
    case 'drop-dataset':
    case 'pin-dataset':
    case 'condemn':
    case 'checkpoint':
    case 'take-master':
    case 'fold':
    case 'finish-master':
    case 'master-failed':
      return [kind, ...keepingToFields(command)];
    case 'worker-join': {
      const { at, worker, instanceId, address, slots } = command;
      return [kind, at, worker, instanceId, address, slots, offersToFields(command.offers)];
    }
    case 'worker-expire':
      return [kind, command.at, command.worker, command.incarnation, clipText(command.reason, ERROR_TEXT_MAX)];
    case 'worker-suspect':
      return [kind, command.worker, command.incarnation, command.quarters];
    case 'worker-heard':
      return [kind, command.worker, command.incarnation];
    case 'grant':
      return [kind, command.at, command.job, command.worker, command.incarnation, command.size, command.retry];
    case 'progress':
      return [kind, command.at, command.cursors.map(headwayToFields)];
    case 'fail':
      return [kind, command.at, ...endingToFields(command), clipText(command.error, ERROR_TEXT_MAX)];
    case 'complete':
    case 'release':
      return [kind, command.at, ...endingToFields(command)];
    default:
      return unreachable(command);
  }
}

function fieldsToCommand(fields: Fields): Command {
  const command = readCommand(fields);
  fields.close();
  return command;
}

// Object literals evaluate their properties in the order they are written, which is the order of the fields.
function readCommand(fields: Fields): Command {
  const kind = fields.choice(KINDS);
  switch (kind) {
    case 'submit-job':
      return {
        kind,
        at: fields.natural(),
        spec: fields.nested('the spec of a job', fieldsToSpec),
        stamp: fields.nullable((some) => some.natural()),
      };
    case 'control-job':
      return { kind, at: fields.natural(), id: readId(fields), action: fields.choice(ACTIONS) };
    case 'retry-job':
      return {
        kind,
        at: fields.natural(),
        id: readId(fields),
        range: readRangeOrAll(fields),
        uncertain: fields.integer(0, 1) === 1,
      };
    case 'worker-join':
    case 'worker-expire':
    case 'worker-suspect':
    case 'worker-heard':
      return readStaffing(kind, fields);
    case 'grant':
      return {
        kind,
        at: fields.natural(),
        job: readId(fields),
        worker: readId(fields),
        incarnation: fields.natural(),
        size: fields.integer(1, Number.MAX_SAFE_INTEGER),
        retry: fields.nullable((some) => some.point()),
      };
    case 'progress':
      return { kind, at: fields.natural(), cursors: fields.list(CURSORS_PER_ENTRY_MAX, 'a cursor', readHeadway) };
    case 'fail':
      return { kind, at: fields.natural(), ...readEnding(fields), error: fields.text(0, ERROR_TEXT_MAX) };
    case 'complete':
    case 'release':
      return { kind, at: fields.natural(), ...readEnding(fields) };
    case 'put-dataset':
    case 'drop-dataset':
    case 'pin-dataset':
    case 'condemn':
    case 'checkpoint':
    case 'take-master':
    case 'fold':
    case 'finish-master':
    case 'master-failed':
      return readKeeping(kind, fields);
    default:
      return readSteering(kind, fields);
  }
}

/** Workers that come and go. */
function readStaffing(kind: Staffing, fields: Fields): Extract<Command, { readonly kind: Staffing }> {
  switch (kind) {
    case 'worker-join':
      return {
        kind,
        at: fields.natural(),
        worker: readId(fields),
        instanceId: readId(fields),
        address: fields.text(1, ADDRESS_LENGTH_MAX),
        slots: fields.integer(0, SLOTS_MAX),
        offers: fieldsToOffers(fields),
      };
    case 'worker-expire':
      return {
        kind,
        at: fields.natural(),
        worker: readId(fields),
        incarnation: fields.natural(),
        reason: fields.text(0, ERROR_TEXT_MAX),
      };
    case 'worker-suspect':
      return {
        kind,
        worker: readId(fields),
        incarnation: fields.natural(),
        quarters: fields.natural(),
      };
    case 'worker-heard':
      return { kind, worker: readId(fields), incarnation: fields.natural() };
    default:
      return unreachable(kind);
  }
}

/** What people and the leader do to jobs and schedules that are there. */
function readSteering(kind: Steering, fields: Fields): Extract<Command, { readonly kind: Steering }> {
  switch (kind) {
    case 'set-job':
      return { kind, at: fields.natural(), id: readId(fields), changes: readChanges(fields) };
    case 'job-notified':
      return { kind, at: fields.natural(), id: readId(fields), run: fields.natural() };
    case 'put-schedule':
      return {
        kind,
        at: fields.natural(),
        schedule: fields.nested('a schedule', fieldsToSchedule),
        nextAt: fields.nullable((some) => some.natural()),
      };
    case 'drop-schedule':
      return { kind, at: fields.natural(), key: readKey(fields) };
    case 'fire-schedule':
      return {
        kind,
        at: fields.natural(),
        key: readKey(fields),
        due: fields.natural(),
        next: fields.nullable((some) => some.natural()),
        missed: fields.natural(),
        id: readId(fields),
      };
    case 'shrink':
      return { kind, at: fields.natural(), epoch: fields.natural(), end: fields.point() };
    default:
      return unreachable(kind);
  }
}

function readId(fields: Fields): string {
  return fields.text(1, ID_LENGTH_MAX);
}

function headwayToFields({ epoch, cursor, claimed, outputs }: Headway): readonly Packed[] {
  return [epoch, cursor, claimed, stampedToFields(outputs)];
}

function readHeadway(fields: Fields): Headway {
  return { epoch: fields.natural(), cursor: fields.point(), claimed: fields.point(), outputs: readStamped(fields) };
}

function readRangeOrAll(fields: Fields): Range | null {
  const start = fields.nullable((some) => some.point());
  const end = fields.nullable((some) => some.point());
  if (start === null && end === null) return null;
  if (start === null || end === null || start >= end) fields.fail('has a range that is empty or half given');
  return { start, end };
}

function endingToFields(ending: Ending): readonly Packed[] {
  return [ending.epoch, ending.cursor, ending.begun, stampedToFields(ending.outputs)];
}

function readEnding(fields: Fields): Ending {
  return { epoch: fields.natural(), cursor: fields.point(), begun: fields.point(), outputs: readStamped(fields) };
}

export function specToFields(spec: JobSpec): readonly Packed[] {
  return [spec.id, ...workToFields(spec)];
}

export function fieldsToSpec(fields: Fields): JobSpec {
  return { id: readId(fields), ...readWork(fields) };
}

/** All of a spec but the id of its job. */
function workToFields(spec: ScheduledSpec): readonly Packed[] {
  const { name, start, end, metadata, options, exposure, overseen, input, inputName, collects } = spec;
  const kind = [EXPOSURES.indexOf(exposure), overseen ? 1 : 0];
  const given = [handleOrNone(input), inputName ?? '', collects ? 1 : 0];
  return [name, start, end, metadata, optionsToFields(options), ...kind, ...given];
}

function readWork(fields: Fields): ScheduledSpec {
  const spec: ScheduledSpec = {
    name: fields.text(1, NAME_LENGTH_MAX),
    start: fields.point(),
    end: fields.point(),
    metadata: fields.text(1, METADATA_BYTES_MAX),
    options: fields.nested('the options of a job', readOptions),
    exposure: fields.choice(EXPOSURES),
    overseen: fields.integer(0, 1) === 1,
    input: readHandleOrNone(fields),
    inputName: readDatasetNameOrNone(fields),
    collects: fields.integer(0, 1) === 1,
  };
  if (spec.start >= spec.end || !Number.isSafeInteger(spec.end - spec.start)) {
    fields.fail('has a range that is empty or has more than 2^53-1 points');
  }
  if (spec.input !== null && (spec.start < 0 || spec.end > spec.input.rows)) fields.fail('has points without a row');
  if (spec.inputName !== null && spec.input === null) fields.fail('has the name of an input and none');
  if (spec.collects && !spec.overseen) fields.fail('collects without a Master');
  if (utf8Length(spec.metadata) > METADATA_BYTES_MAX) fields.fail('has metadata that is too large');
  return spec;
}

export function scheduleToFields({ key, cron, timeZone, spec }: ScheduleSpec): readonly Packed[] {
  return [key, cron, timeZone, workToFields(spec)];
}

export function fieldsToSchedule(fields: Fields): ScheduleSpec {
  return {
    key: readKey(fields),
    cron: fields.text(1, CRON_LENGTH_MAX),
    timeZone: fields.text(1, TIME_ZONE_LENGTH_MAX),
    spec: fields.nested('the job of a schedule', readPlannedAnew),
  };
}

/** Data would be other data each time: who submits by schedule has none of its own. */
function readPlannedAnew(fields: Fields): ScheduledSpec {
  const spec = readWork(fields);
  return spec.input === null ? spec : fields.fail('has an input, which a schedule cannot keep');
}

function readKey(fields: Fields): string {
  return fields.text(1, SCHEDULE_KEY_LENGTH_MAX);
}

function optionsToFields(options: JobOptions): readonly Packed[] {
  const { delivery, tolerate, throttle, onDone, after, at, ...numbers } = options;
  const { commitEvery, commitIntervalMs, taskSize, taskTimeoutMs, memoryMb, maxAttempts } = numbers;
  const { priority, weight, maxConcurrency, pointsPerSecond } = numbers;
  return [
    ...[DELIVERIES.indexOf(delivery), commitEvery, commitIntervalMs, taskSize, taskTimeoutMs, memoryMb, maxAttempts],
    ...[priority, weight, maxConcurrency, pointsPerSecond, String(tolerate)],
    ...[throttle === null ? null : JSON.stringify(throttle), onDone, after, at],
  ];
}

function readOptions(fields: Fields): JobOptions {
  return {
    delivery: fields.choice(DELIVERIES),
    commitEvery: readNumber(fields, 'commitEvery'),
    commitIntervalMs: readNumber(fields, 'commitIntervalMs'),
    taskSize: fields.nullable((some) => readNumber(some, 'taskSize')),
    taskTimeoutMs: fields.nullable((some) => readNumber(some, 'taskTimeoutMs')),
    memoryMb: fields.nullable((some) => readNumber(some, 'memoryMb')),
    maxAttempts: readNumber(fields, 'maxAttempts'),
    ...readControls(fields),
    throttle: fields.nullable(readHook),
    onDone: fields.nullable((some) => some.text(1, HOOK_URL_LENGTH_MAX)),
    after: fields.nullable(readId),
    at: fields.nullable((some) => readNumber(some, 'at')),
  };
}

function readNumber(fields: Fields, name: keyof typeof NUMBER_OPTIONS): number {
  return fields.integer(NUMBER_OPTIONS[name].min, NUMBER_OPTIONS[name].max);
}

export function controlsToFields(controls: Partial<Controls>): readonly Packed[] {
  return CONTROL_NAMES.map((name) => {
    const value = controls[name];
    // One is left as it is, another set to "no bound": only the second is a null of its own.
    if (value === undefined) return null;
    return [typeof value === 'string' || name === 'tolerate' ? String(value) : value];
  });
}

export function readControls(fields: Fields): Controls {
  return {
    priority: readNumber(fields, 'priority'),
    weight: readNumber(fields, 'weight'),
    maxConcurrency: fields.nullable((some) => readNumber(some, 'maxConcurrency')),
    pointsPerSecond: fields.nullable((some) => readNumber(some, 'pointsPerSecond')),
    tolerate: readTolerance(fields),
  };
}

/** Controls as they are in a job: all of them. */
export function wholeControlsToFields(controls: Controls): readonly Packed[] {
  const { priority, weight, maxConcurrency, pointsPerSecond, tolerate } = controls;
  return [priority, weight, maxConcurrency, pointsPerSecond, String(tolerate)];
}

function readChanges(fields: Fields): Partial<Controls> {
  const changes: { -readonly [name in keyof Controls]?: Controls[name] } = {};
  const change = <N extends keyof Controls>(name: N, read: (some: Fields) => Controls[N]): void => {
    const value = fields.nullable((some) => some.nested('a change', (one) => ({ read: read(one) })));
    if (value !== null) changes[name] = value.read;
  };
  change('priority', (some) => readNumber(some, 'priority'));
  change('weight', (some) => readNumber(some, 'weight'));
  change('maxConcurrency', (some) => some.nullable((one) => readNumber(one, 'maxConcurrency')));
  change('pointsPerSecond', (some) => some.nullable((one) => readNumber(one, 'pointsPerSecond')));
  change('tolerate', readTolerance);
  return changes;
}

function readTolerance(fields: Fields): Tolerance {
  const text = fields.text(1, TOLERANCE_LENGTH_MAX);
  const value = text.endsWith('%') ? text : Number(text);
  return isTolerance(value) ? value : fields.fail('tolerates neither points nor a percentage');
}

function readHook(fields: Fields): Throttle {
  const text = fields.text(1, THROTTLE_LENGTH_MAX);
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    fields.fail('has a throttle that is no JSON');
  }
  const read = readThrottle(value);
  return 'throttle' in read ? read.throttle : fields.fail(`has a malformed throttle (${read.complaint})`);
}

export function offersToFields(offers: readonly Offer[]): readonly Packed[] {
  return offers.map((offer) => [offer.name, offer.hash]);
}

export function fieldsToOffers(fields: Fields): Offer[] {
  return fields.list(OFFERS_MAX, 'an offer', (some) => ({
    name: some.text(1, NAME_LENGTH_MAX),
    hash: some.text(0, HASH_LENGTH_MAX),
  }));
}
