/**
 * Backup: a whole cluster at one index, as one file; and the first disk of the cluster that is restored from it.
 *
 * Layout, big-endian: magic, 8 bytes | format u32 | length of the header u32 | header as JSON | image | SHA-256 of all
 * that comes before it. The image is what snapshots hold, roster and job table, so that what a node reads at every start
 * is also what it reads here. The format comes before everything that may ever change.
 *
 * A restored cluster is a new one, with an id of its own: nodes, workers and data directories of the old cluster are
 * strangers to it. Its log begins far above the index of the backup, for the old cluster went on giving epochs.
 *
 * Invariants: what `decodeBackup` gives is whole · a restored cluster gives no epoch that the old one may have given.
 */
import { createHash } from 'node:crypto';
import { z } from 'zod';
import { assert } from '../base/assert.ts';
import { errorText, PolarisError } from '../base/errors.ts';
import { BACKUP_HEADER_BYTES_MAX } from '../base/limits.ts';
import type { Address, ClusterId, InstanceId, LogIndex, NodeId, Term } from '../base/types.ts';
import { configurationOf } from '../raft/configuration.ts';
import { restoredIndex, restoreTable } from '../ranges/restored.ts';
import { JobTable } from '../ranges/table.ts';
import type { StoreBatch } from '../store/types.ts';
import { decodeImage, encodeImage, foundingRoster, Roster } from './roster.ts';

export interface BackupHeader {
  readonly clusterId: ClusterId;
  readonly index: LogIndex;
  readonly term: Term;
  /** Stamp of the leader that made it, epoch ms. */
  readonly at: number;
}

export interface Backup extends BackupHeader {
  /** Roster and job table, as `encodeImage` makes them. */
  readonly image: Uint8Array;
}

/** The node that a cluster is restored on, its only voter until others join. */
export interface RestoreTarget {
  /** A new one. */
  readonly clusterId: ClusterId;
  readonly id: NodeId;
  readonly instanceId: InstanceId;
  /** Where others reach it. */
  readonly address: Address;
  /** Where another cluster that was restored from the same backup stood last: its epochs must not be given again either. */
  readonly above: LogIndex;
}

/** Of this layout. Another one was written by another Polaris, and is refused. */
export const BACKUP_FORMAT = 1;
const MAGIC = Buffer.from('PLRSBKUP', 'latin1');
const FORMAT_AT = MAGIC.length;
const LENGTH_AT = FORMAT_AT + 4;
const HEADER_AT = LENGTH_AT + 4;
const HASH_BYTES = 32;

const count = z.int().min(0);
const headerSchema = z.strictObject({
  clusterId: z.string().min(1),
  index: count.min(1),
  term: count.min(1),
  at: count,
});

export function encodeBackup({ clusterId, index, term, at, image }: Backup): Uint8Array {
  const header = Buffer.from(JSON.stringify({ clusterId, index, term, at } satisfies BackupHeader));
  assert(header.length <= BACKUP_HEADER_BYTES_MAX, 'the header of a backup is small');
  const imageAt = HEADER_AT + header.length;
  const bytes = Buffer.allocUnsafeSlow(imageAt + image.length + HASH_BYTES);
  MAGIC.copy(bytes);
  bytes.writeUInt32BE(BACKUP_FORMAT, FORMAT_AT);
  bytes.writeUInt32BE(header.length, LENGTH_AT);
  bytes.set(header, HEADER_AT);
  bytes.set(image, imageAt);
  bytes.set(hashOf(bytes.subarray(0, -HASH_BYTES)), bytes.length - HASH_BYTES);
  return bytes;
}

/** @throws PolarisError BAD_BACKUP for what is none, of another version, cut off or changed. */
export function decodeBackup(given: Uint8Array): Backup {
  const bytes = Buffer.from(given.buffer, given.byteOffset, given.byteLength);
  if (bytes.length < HEADER_AT || !bytes.subarray(0, FORMAT_AT).equals(MAGIC)) throw bad('it does not begin like one');
  const format = bytes.readUInt32BE(FORMAT_AT);
  if (format !== BACKUP_FORMAT) throw bad(`it has format ${format}, and this version reads ${BACKUP_FORMAT}`);
  const hashAt = bytes.length - HASH_BYTES;
  if (hashAt < HEADER_AT || !bytes.subarray(hashAt).equals(hashOf(bytes.subarray(0, hashAt)))) {
    throw bad('its checksum does not match: it was cut off or changed');
  }
  const imageAt = HEADER_AT + bytes.readUInt32BE(LENGTH_AT);
  if (imageAt > hashAt || imageAt - HEADER_AT > BACKUP_HEADER_BYTES_MAX) throw bad('its header is too long');
  const header = readHeader(bytes.subarray(HEADER_AT, imageAt));
  return { ...header, image: new Uint8Array(bytes.subarray(imageAt, hashAt)) };
}

/** The job table of a backup, as its cluster had it. @throws PolarisError BAD_BACKUP */
export function tableOf({ index, image }: Backup): JobTable {
  return inWordsOfBackups(() => {
    const table = new JobTable();
    table.restore(index, decodeImage(image).table);
    return table;
  });
}

/** The first batch of the new cluster's first disk. @throws PolarisError BAD_BACKUP */
export function restoreBatch(backup: Backup, { clusterId, id, instanceId, address, above }: RestoreTarget): StoreBatch {
  const { index: oldIndex, term, at } = backup;
  assert(clusterId !== backup.clusterId, 'a restored cluster has an id of its own');
  const index = restoredIndex(Math.max(oldIndex, above));
  assert(index > oldIndex && index > above, 'the new log begins above all former ones');
  const members = [{ id, instanceId, address }];
  const table = inWordsOfBackups(() => {
    const old = decodeImage(backup.image);
    // Nobody of it is taken over, but what cannot be read was not written by this version.
    new Roster().restore(old.roster);
    return restoreTable(oldIndex, old.table, at);
  });
  return {
    formation: { clusterId, members },
    hardState: { term, vote: null, commit: index },
    snapshot: {
      meta: { index, term, configuration: configurationOf([id]) },
      data: encodeImage(foundingRoster(members), table),
    },
    resetLog: true,
  };
}

function readHeader(json: Buffer): BackupHeader {
  try {
    return headerSchema.parse(JSON.parse(json.toString()));
  } catch (cause) {
    throw bad('its header has another shape than this version writes', cause);
  }
}

/** Damage of a snapshot is damage of the file here, and no data directory has to be moved away for it. */
function inWordsOfBackups<T>(read: () => T): T {
  try {
    return read();
  } catch (cause) {
    if (cause instanceof PolarisError && cause.code !== 'LOG_DAMAGED') throw cause;
    if (cause instanceof Error && cause.name === 'InvariantError') throw cause;
    throw bad(errorText(cause), cause);
  }
}

function hashOf(bytes: Uint8Array): Buffer {
  return createHash('sha256').update(bytes).digest();
}

function bad(what: string, cause?: unknown): PolarisError {
  return new PolarisError('BAD_BACKUP', `not a backup that can be restored: ${what}`, { cause });
}
