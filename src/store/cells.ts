/**
 * Cells: what the store keeps, as pairs of key and bytes. LevelDB and the twin in memory hold the same cells.
 *
 * Keys are text, so that any LevelDB tool can show them: `meta/…` for the few single values, and `log/` with fourteen
 * hexadecimal digits for entries, which sort as their indexes do. Every meta cell begins with a CRC over its key and its
 * bytes, so that a value under the wrong key is found out like a flipped bit. An entry's cell is its record as it is
 * (base/record.ts), which carries its own CRC, term and index.
 */
import { crc32 } from 'node:zlib';
import { z } from 'zod';
import { assert } from '../base/assert.ts';
import { PolarisError } from '../base/errors.ts';
import type { ClusterId, InstanceId, LogIndex } from '../base/types.ts';
import type { HardState, Snapshot } from '../raft/types.ts';
import type { Formation } from './types.ts';

/** Version of this layout. Another one on disk was written by another Polaris, and is refused. */
export const STORE_FORMAT = 1;

export const IDENTITY_KEY = 'meta/identity';
export const CLUSTER_KEY = 'meta/cluster';
export const FORMATION_KEY = 'meta/formation';
export const HARD_STATE_KEY = 'meta/hard-state';
export const SNAPSHOT_KEY = 'meta/snapshot';

const LOG_PREFIX = 'log/';
/** 2^53 - 1 has fourteen hexadecimal digits. */
const LOG_DIGITS = 14;
const CRC_BYTES = 4;
const LENGTH_BYTES = 4;

export function logKey(index: LogIndex): string {
  assert(Number.isSafeInteger(index) && index > 0, `a log index is a positive safe integer: ${index}`);
  return LOG_PREFIX + index.toString(16).padStart(LOG_DIGITS, '0');
}

/** Null when the key is not that of an entry. */
export function logIndexOf(key: string): LogIndex | null {
  if (!key.startsWith(LOG_PREFIX)) return null;
  const digits = key.slice(LOG_PREFIX.length);
  return /^[0-9a-f]{14}$/.test(digits) ? Number.parseInt(digits, 16) : null;
}

const count = z.int().min(0);
const text = z.string().min(1);
const formatSchema = z.looseObject({ format: count });
const identitySchema = z.strictObject({ format: z.literal(STORE_FORMAT), instanceId: z.uuidv4() });
const clusterSchema = z.strictObject({ clusterId: text });
const formationSchema = z.strictObject({
  clusterId: text,
  members: z.array(z.strictObject({ id: text, instanceId: text, address: text })),
});
const hardStateSchema = z.strictObject({ term: count, vote: z.nullable(text), commit: count });
const ids = z.array(text);
const configurationSchema = z.strictObject({
  voters: ids,
  votersOutgoing: ids,
  learners: ids,
  learnersNext: ids,
  autoLeave: z.boolean(),
});
const snapshotMetaSchema = z.strictObject({ index: count, term: count, configuration: configurationSchema });

/** Any damage found at open. The sentence says what is wrong and how to go on. */
export function damaged(what: string, cause?: unknown): PolarisError {
  const detail = `the log on disk is damaged (${what}): move the data directory away and join under a new id`;
  return new PolarisError('LOG_DAMAGED', detail, { cause });
}

export function encodeIdentity(instanceId: InstanceId): Uint8Array {
  return sealJson(IDENTITY_KEY, { format: STORE_FORMAT, instanceId });
}

export function decodeIdentity(cell: Uint8Array): InstanceId {
  const { format } = openJson(IDENTITY_KEY, cell, formatSchema);
  // Not damage: the version that wrote it still reads it, and the directory must not be marked for ever.
  if (format !== STORE_FORMAT) {
    throw new PolarisError(
      'OTHER_FORMAT',
      `the data directory has format ${format}, and this version reads ${STORE_FORMAT}`,
    );
  }
  return openJson(IDENTITY_KEY, cell, identitySchema).instanceId;
}

export function encodeCluster(clusterId: ClusterId): Uint8Array {
  return sealJson(CLUSTER_KEY, { clusterId });
}

export function decodeCluster(cell: Uint8Array): ClusterId {
  return openJson(CLUSTER_KEY, cell, clusterSchema).clusterId;
}

export function encodeFormation(formation: Formation): Uint8Array {
  return sealJson(FORMATION_KEY, formation);
}

export function decodeFormation(cell: Uint8Array): Formation {
  return openJson(FORMATION_KEY, cell, formationSchema);
}

export function encodeHardState(hardState: HardState): Uint8Array {
  const { term, vote, commit } = hardState;
  return sealJson(HARD_STATE_KEY, { term, vote, commit });
}

export function decodeHardState(cell: Uint8Array): HardState {
  return openJson(HARD_STATE_KEY, cell, hardStateSchema);
}

/** Behind the CRC: length of the meta as JSON, the meta, the data as it is. */
export function encodeSnapshot(snapshot: Snapshot): Uint8Array {
  const meta = Buffer.from(JSON.stringify(snapshot.meta));
  const body = Buffer.allocUnsafe(LENGTH_BYTES + meta.length + snapshot.data.length);
  body.writeUInt32BE(meta.length, 0);
  body.set(meta, LENGTH_BYTES);
  body.set(snapshot.data, LENGTH_BYTES + meta.length);
  return seal(SNAPSHOT_KEY, body);
}

export function decodeSnapshot(cell: Uint8Array): Snapshot {
  const body = open(SNAPSHOT_KEY, cell);
  const metaEnd = LENGTH_BYTES + (body.length < LENGTH_BYTES ? 0 : body.readUInt32BE(0));
  if (body.length < metaEnd) throw damaged('the snapshot is shorter than it says');
  const meta = parse(SNAPSHOT_KEY, body.subarray(LENGTH_BYTES, metaEnd), snapshotMetaSchema);
  return { meta, data: new Uint8Array(body.subarray(metaEnd)) };
}

function seal(key: string, body: Uint8Array): Uint8Array {
  const cell = Buffer.allocUnsafe(CRC_BYTES + body.length);
  cell.writeUInt32BE(crc32(body, crc32(key)), 0);
  cell.set(body, CRC_BYTES);
  return cell;
}

function open(key: string, cell: Uint8Array): Buffer {
  const bytes = Buffer.from(cell.buffer, cell.byteOffset, cell.byteLength);
  if (bytes.length < CRC_BYTES) throw damaged(`${key} has ${bytes.length} bytes`);
  const body = bytes.subarray(CRC_BYTES);
  if (bytes.readUInt32BE(0) !== crc32(body, crc32(key))) throw damaged(`the checksum of ${key} does not match`);
  return body;
}

function sealJson(key: string, value: object): Uint8Array {
  return seal(key, Buffer.from(JSON.stringify(value)));
}

function openJson<T>(key: string, cell: Uint8Array, schema: z.ZodType<T>): T {
  return parse(key, open(key, cell), schema);
}

function parse<T>(key: string, json: Buffer, schema: z.ZodType<T>): T {
  try {
    return schema.parse(JSON.parse(json.toString()));
  } catch (cause) {
    throw damaged(`${key} has another shape than this version writes`, cause);
  }
}
