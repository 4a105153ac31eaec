/**
 * Codec of the commands about data, and of the handles in them. A handle costs the log some 120 bytes, however much it
 * stands for.
 */
import { unreachable } from '../base/assert.ts';
import { type BlobHash, type Handle, isBlobHash, isSchemaHash, type SchemaHash } from '../base/handle.ts';
import {
  BLOB_BYTES_MAX,
  CONDEMNED_PER_ENTRY_MAX,
  DATASET_NAME_LENGTH_MAX,
  DATASET_TTL_MS_MAX,
  ERROR_TEXT_MAX,
  FINGERPRINT_LENGTH_MAX,
  ID_LENGTH_MAX,
  OUTPUTS_PER_FOLD_MAX,
  OUTPUTS_PER_REPORT_MAX,
  STAGES_MAX,
} from '../base/limits.ts';
import { isDatasetName } from './datasets.ts';
import type { Fields, Packed } from './fields.ts';
import { clipText } from './text.ts';
import type { Command, Output, StageCheckpoint, StampedOutput } from './types.ts';

/** Commands about what is kept. */
type Keeping =
  | 'put-dataset'
  | 'drop-dataset'
  | 'pin-dataset'
  | 'condemn'
  | 'checkpoint'
  | 'take-master'
  | 'fold'
  | 'finish-master'
  | 'master-failed';
type KeepingCommand = Extract<Command, { readonly kind: Keeping }>;

const HASH_LENGTH = 64;
const SCHEMA_LENGTH = 16;

/** All fields but the kind. */
export function keepingToFields(command: KeepingCommand): readonly Packed[] {
  switch (command.kind) {
    case 'put-dataset': {
      const { at, name, handle, stamp, expected, ttlMs, pinned } = command;
      return [at, name, handleToFields(handle), stamp, expected, ttlMs, pinned ? 1 : 0];
    }
    case 'drop-dataset':
      return [command.at, command.name, command.expected];
    case 'pin-dataset':
      return [command.at, command.name, command.pinned ? 1 : 0];
    case 'condemn':
      return [command.hashes];
    case 'checkpoint':
      return [command.at, command.epoch, checkpointToFields(command.checkpoint), command.stamp];
    case 'take-master':
      return [command.at, command.job];
    case 'fold': {
      const { at, job, epoch, outputs, state, stamp } = command;
      return [at, job, epoch, outputs, handleOrNone(state), stamp];
    }
    case 'finish-master': {
      const { at, job, epoch, result, stamp } = command;
      return [at, job, epoch, handleOrNone(result), stamp];
    }
    case 'master-failed':
      return [command.at, command.job, command.epoch, clipText(command.error, ERROR_TEXT_MAX)];
    default:
      return unreachable(command);
  }
}

// Object literals evaluate their properties in the order they are written, which is the order of the fields.
export function readKeeping(kind: Keeping, fields: Fields): KeepingCommand {
  switch (kind) {
    case 'put-dataset':
      return {
        kind,
        at: fields.natural(),
        name: readDatasetName(fields),
        handle: fields.nested('a handle', readHandle),
        stamp: fields.natural(),
        expected: fields.nullable((some) => some.natural()),
        ttlMs: fields.nullable(readTtl),
        pinned: fields.integer(0, 1) === 1,
      };
    case 'drop-dataset':
      return {
        kind,
        at: fields.natural(),
        name: readDatasetName(fields),
        expected: fields.nullable((some) => some.natural()),
      };
    case 'pin-dataset':
      return { kind, at: fields.natural(), name: readDatasetName(fields), pinned: fields.integer(0, 1) === 1 };
    case 'condemn':
      return { kind, hashes: fields.items(CONDEMNED_PER_ENTRY_MAX, 'blobs', readBlobHash) };
    case 'checkpoint':
      return {
        kind,
        at: fields.natural(),
        epoch: fields.natural(),
        checkpoint: fields.nested('a checkpoint', readCheckpoint),
        stamp: fields.natural(),
      };
    case 'take-master':
      return { kind, at: fields.natural(), job: fields.text(1, ID_LENGTH_MAX) };
    case 'fold':
      return {
        kind,
        at: fields.natural(),
        job: fields.text(1, ID_LENGTH_MAX),
        epoch: fields.natural(),
        outputs: fields.items(OUTPUTS_PER_FOLD_MAX, 'folded outputs', (some) => some.point()),
        state: readHandleOrNone(fields),
        stamp: fields.natural(),
      };
    case 'finish-master':
      return {
        kind,
        at: fields.natural(),
        job: fields.text(1, ID_LENGTH_MAX),
        epoch: fields.natural(),
        result: readHandleOrNone(fields),
        stamp: fields.natural(),
      };
    case 'master-failed':
      return {
        kind,
        at: fields.natural(),
        job: fields.text(1, ID_LENGTH_MAX),
        epoch: fields.natural(),
        error: fields.text(0, ERROR_TEXT_MAX),
      };
    default:
      return unreachable(kind);
  }
}

export function handleToFields({ hash, bytes, rows, schema }: Handle): readonly Packed[] {
  return [hash, bytes, rows, schema];
}

export function readHandle(fields: Fields): Handle {
  const hash = readBlobHash(fields);
  const bytes = fields.integer(0, BLOB_BYTES_MAX);
  const rows = fields.natural();
  return { hash, bytes, rows, schema: readSchemaHash(fields) };
}

export function readSchemaHash(fields: Fields): SchemaHash {
  const schema = fields.text(SCHEMA_LENGTH, SCHEMA_LENGTH);
  return isSchemaHash(schema) ? schema : fields.fail('has no schema hash');
}

export function handleOrNone(handle: Handle | null): Packed {
  return handle === null ? null : handleToFields(handle);
}

export function readHandleOrNone(fields: Fields): Handle | null {
  return fields.nullable((some) => some.nested('a handle', readHandle));
}

export function outputToFields({ start, end, handle }: Output): readonly Packed[] {
  return [start, end, handleToFields(handle)];
}

export function readOutput(fields: Fields): Output {
  return { start: fields.point(), end: fields.point(), handle: fields.nested('a handle', readHandle) };
}

export function stampedToFields(outputs: readonly StampedOutput[]): readonly Packed[] {
  return outputs.map((output) => [...outputToFields(output), output.stamp]);
}

export function readStamped(fields: Fields): StampedOutput[] {
  return fields.list(OUTPUTS_PER_REPORT_MAX, 'an output', (some) => ({ ...readOutput(some), stamp: some.natural() }));
}

export function checkpointToFields({ stage, fingerprint, handle }: StageCheckpoint): readonly Packed[] {
  return [stage, fingerprint, handleToFields(handle)];
}

export function readCheckpoint(fields: Fields): StageCheckpoint {
  return {
    stage: fields.integer(0, STAGES_MAX - 1),
    fingerprint: fields.text(1, FINGERPRINT_LENGTH_MAX),
    handle: fields.nested('a handle', readHandle),
  };
}

export function readBlobHash(fields: Fields): BlobHash {
  const hash = fields.text(HASH_LENGTH, HASH_LENGTH);
  return isBlobHash(hash) ? hash : fields.fail('has no blob hash');
}

/** The empty text is none. */
export function readDatasetNameOrNone(fields: Fields): string | null {
  const name = fields.text(0, DATASET_NAME_LENGTH_MAX);
  if (name === '') return null;
  return isDatasetName(name) ? name : fields.fail('names no dataset');
}

export function readDatasetName(fields: Fields): string {
  const name = fields.text(1, DATASET_NAME_LENGTH_MAX);
  return isDatasetName(name) ? name : fields.fail('names no dataset');
}

export function readTtl(fields: Fields): number {
  return fields.integer(1, DATASET_TTL_MS_MAX);
}
