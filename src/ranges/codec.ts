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
  CURSORS_PER_ENTRY_MAX,
  ERROR_TEXT_MAX,
  HASH_LENGTH_MAX,
  ID_LENGTH_MAX,
  METADATA_BYTES_MAX,
  NAME_LENGTH_MAX,
  OFFERS_MAX,
  SLOTS_MAX,
} from '../base/limits.ts';
import type { Range } from '../base/types.ts';
import { Fields, type Packed, packFields, unpackFields } from './fields.ts';
import { DELIVERIES, isTolerance, NUMBER_OPTIONS } from './spec.ts';
import { clipText, utf8Length } from './text.ts';
import type { Command, Ending, JobOptions, JobSpec, Offer, Tolerance } from './types.ts';

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
] as const satisfies readonly Command['kind'][];
const ACTIONS = ['pause', 'resume', 'cancel'] as const;
/** Digits of 2^53-1. */
const TOLERANCE_LENGTH_MAX = 16;
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
      return [kind, command.at, specToFields(command.spec)];
    case 'control-job':
      return [kind, command.at, command.id, ACTIONS.indexOf(command.action)];
    case 'retry-job': {
      const { at, id, range, uncertain } = command;
      return [kind, at, id, range === null ? null : range.start, range === null ? null : range.end, uncertain ? 1 : 0];
    }
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
      return [kind, command.at, command.cursors.map((report) => [report.epoch, report.cursor, report.claimed])];
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
      return { kind, at: fields.natural(), spec: fields.nested('the spec of a job', fieldsToSpec) };
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
      return { kind, at: fields.natural(), cursors: fields.list(CURSORS_PER_ENTRY_MAX, 'a cursor', readCursor) };
    case 'fail':
      return { kind, at: fields.natural(), ...readEnding(fields), error: fields.text(0, ERROR_TEXT_MAX) };
    case 'complete':
    case 'release':
      return { kind, at: fields.natural(), ...readEnding(fields) };
    default:
      return unreachable(kind);
  }
}

function readId(fields: Fields): string {
  return fields.text(1, ID_LENGTH_MAX);
}

function readCursor(fields: Fields): { readonly epoch: number; readonly cursor: number; readonly claimed: number } {
  return { epoch: fields.natural(), cursor: fields.point(), claimed: fields.point() };
}

function readRangeOrAll(fields: Fields): Range | null {
  const start = fields.nullable((some) => some.point());
  const end = fields.nullable((some) => some.point());
  if (start === null && end === null) return null;
  if (start === null || end === null || start >= end) fields.fail('has a range that is empty or half given');
  return { start, end };
}

function endingToFields(ending: Ending): readonly number[] {
  return [ending.epoch, ending.cursor, ending.begun];
}

function readEnding(fields: Fields): Ending {
  return { epoch: fields.natural(), cursor: fields.point(), begun: fields.point() };
}

export function specToFields(spec: JobSpec): readonly Packed[] {
  const { delivery, commitEvery, commitIntervalMs, taskSize, maxAttempts, tolerate } = spec.options;
  const options = [
    DELIVERIES.indexOf(delivery),
    commitEvery,
    commitIntervalMs,
    taskSize,
    maxAttempts,
    String(tolerate),
  ];
  return [spec.id, spec.name, spec.start, spec.end, spec.metadata, options, EXPOSURES.indexOf(spec.exposure)];
}

export function fieldsToSpec(fields: Fields): JobSpec {
  const spec: JobSpec = {
    id: readId(fields),
    name: fields.text(1, NAME_LENGTH_MAX),
    start: fields.point(),
    end: fields.point(),
    metadata: fields.text(1, METADATA_BYTES_MAX),
    options: fields.nested('the options of a job', readOptions),
    exposure: fields.choice(EXPOSURES),
  };
  if (spec.start >= spec.end || !Number.isSafeInteger(spec.end - spec.start)) {
    fields.fail('has a range that is empty or has more than 2^53-1 points');
  }
  if (utf8Length(spec.metadata) > METADATA_BYTES_MAX) fields.fail('has metadata that is too large');
  return spec;
}

function readOptions(fields: Fields): JobOptions {
  const read = (name: keyof typeof NUMBER_OPTIONS): number =>
    fields.integer(NUMBER_OPTIONS[name].min, NUMBER_OPTIONS[name].max);
  return {
    delivery: fields.choice(DELIVERIES),
    commitEvery: read('commitEvery'),
    commitIntervalMs: read('commitIntervalMs'),
    taskSize: fields.nullable(() => read('taskSize')),
    maxAttempts: read('maxAttempts'),
    tolerate: readTolerance(fields),
  };
}

function readTolerance(fields: Fields): Tolerance {
  const text = fields.text(1, TOLERANCE_LENGTH_MAX);
  const value = text.endsWith('%') ? text : Number(text);
  return isTolerance(value) ? value : fields.fail('tolerates neither points nor a percentage');
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
