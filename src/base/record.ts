/**
 * Record: the bytes of one log entry, made once by the leader and then the same on every disk and every wire.
 *
 * Layout, big-endian: crc32 u32 | term u64 | index u64 | payload. The checksum covers everything behind it, so an entry
 * that a disk returns at the wrong place is found out like one with a flipped bit. `zlib.crc32` runs at several GB/s.
 */
import { crc32 } from 'node:zlib';
import { PolarisError } from './errors.ts';
import type { LogIndex, Term } from './types.ts';

const HEADER_BYTES = 20;

export interface OpenedRecord {
  readonly term: Term;
  readonly index: LogIndex;
  /** A view into the record, not a copy. */
  readonly payload: Uint8Array;
}

export function sealRecord(term: Term, index: LogIndex, payload: Uint8Array): Uint8Array {
  const record = new Uint8Array(HEADER_BYTES + payload.length);
  const view = new DataView(record.buffer);
  view.setBigUint64(4, BigInt(term));
  view.setBigUint64(12, BigInt(index));
  record.set(payload, HEADER_BYTES);
  view.setUint32(0, crc32(record.subarray(4)));
  return record;
}

/** @throws PolarisError LOG_DAMAGED when the bytes are short or the checksum differs. */
export function openRecord(record: Uint8Array): OpenedRecord {
  if (record.length < HEADER_BYTES) throw new PolarisError('LOG_DAMAGED', `a log record has ${record.length} bytes`);
  const view = new DataView(record.buffer, record.byteOffset, record.byteLength);
  if (view.getUint32(0) !== crc32(record.subarray(4))) {
    throw new PolarisError('LOG_DAMAGED', 'the checksum of a log record does not match its bytes');
  }
  return {
    term: Number(view.getBigUint64(4)),
    index: Number(view.getBigUint64(12)),
    payload: record.subarray(HEADER_BYTES),
  };
}
