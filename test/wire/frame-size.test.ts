/** The largest messages that our own limits allow pass in one frame, and are understood on the other side. */
import { describe, expect, test } from 'vitest';
import {
  APPEND_BYTES_MAX,
  BLOB_BYTES_MAX,
  ERROR_TEXT_MAX,
  FRAME_BYTES_MAX,
  HOOK_WORDS_MAX,
  METADATA_BYTES_MAX,
  ORDERS_PER_MESSAGE_MAX,
  OUTPUTS_PER_MESSAGE_MAX,
  OUTPUTS_PER_REPORT_MAX,
  REPORTS_PER_MESSAGE_MAX,
  SLOTS_MAX,
  SNAPSHOT_CHUNK_BYTES,
} from '../../src/base/limits.ts';
import { sealRecord } from '../../src/base/record.ts';
import type { StampedOutput } from '../../src/ranges/types.ts';
import { decodeMessage, encodeMessage } from '../../src/wire/codec.ts';
import type { TaskOrder, TaskReport, WireMessage } from '../../src/wire/messages.ts';
import { ENDS } from './frames.ts';

const FAR = Number.MAX_SAFE_INTEGER;
const epochs = Array.from({ length: SLOTS_MAX }, (_, at) => FAR - at);

const handle = { hash: 'f'.repeat(64), bytes: BLOB_BYTES_MAX, rows: FAR, schema: 'f'.repeat(16) };

const order: TaskOrder = {
  ...{ epoch: FAR, job: 'f'.repeat(36), name: 'n'.repeat(64), start: -FAR, end: FAR, cursor: 0, claimed: 0 },
  metadata: 'm'.repeat(METADATA_BYTES_MAX),
  options: {
    ...{ delivery: 'exactly-once', commitEvery: FAR, commitIntervalMs: FAR, taskSize: FAR, maxAttempts: FAR },
    ...{ taskTimeoutMs: FAR, memoryMb: FAR, priority: FAR, weight: FAR, maxConcurrency: FAR, pointsPerSecond: FAR },
    tolerate: FAR,
    throttle: {
      kind: 'command',
      command: Array.from({ length: HOOK_WORDS_MAX }, () => 'c'.repeat(900)),
      intervalMs: 5_000,
    },
    onDone: `http://${'h'.repeat(2_000)}`,
    ...{ after: 'f'.repeat(36), at: FAR },
  },
  attempts: FAR,
  input: handle,
  checkpoint: { stage: 63, fingerprint: 'f'.repeat(64), handle },
};

// Three bytes a character is the most that UTF-8 takes for one of JavaScript's.
const report: TaskReport = {
  epoch: FAR,
  cursor: FAR,
  begun: FAR,
  claimed: FAR,
  ending: 'fail',
  error: '€'.repeat(ERROR_TEXT_MAX),
  outputs: [],
  checkpoint: { stage: 63, fingerprint: 'f'.repeat(64), handle, stamp: FAR },
};

const output: StampedOutput = { start: -FAR, end: FAR, handle, stamp: FAR };

/** Full, with one entry that alone is as large as all the others. */
function largestAppend(): WireMessage {
  const payloads = [APPEND_BYTES_MAX / 2, APPEND_BYTES_MAX / 2, APPEND_BYTES_MAX];
  const entries = payloads.map((bytes, at) => {
    return { term: 1, index: at + 1, record: sealRecord(1, at + 1, new Uint8Array(bytes)) };
  });
  return { type: 'append', ...ENDS, term: 1, prevIndex: 0, prevTerm: 0, commit: 0, entries };
}

const LARGEST: { readonly [name: string]: WireMessage } = {
  'an append of full entries and one oversized': largestAppend(),
  'leases with sixteen orders': {
    ...{ type: 'leases', incarnation: FAR, sequence: FAR, appliedIndex: FAR, epochs, release: epochs },
    ...{ shrink: epochs, drain: true },
    orders: Array.from({ length: ORDERS_PER_MESSAGE_MAX }, () => order),
  },
  'reports of failures from every slot': {
    ...{ type: 'report', incarnation: FAR, sequence: FAR },
    reports: Array.from({ length: REPORTS_PER_MESSAGE_MAX }, (_, at) => {
      const count = Math.max(
        0,
        Math.min(OUTPUTS_PER_REPORT_MAX, OUTPUTS_PER_MESSAGE_MAX - at * OUTPUTS_PER_REPORT_MAX),
      );
      return { ...report, outputs: Array.from({ length: count }, () => output) };
    }),
  },
  'a chunk of a snapshot': {
    ...{ type: 'snapshot-chunk', term: FAR, attempt: FAR, offset: FAR, crc: FAR },
    data: new Uint8Array(SNAPSHOT_CHUNK_BYTES),
  },
};

describe('the largest messages fit into a frame', () => {
  for (const [name, message] of Object.entries(LARGEST)) {
    test(name, () => {
      const frame = encodeMessage(message);
      expect(frame.length).toBeLessThanOrEqual(FRAME_BYTES_MAX);
      expect(decodeMessage(frame, ENDS).type).toBe(message.type);
    });
  }
});
