/**
 * Data words: what the code of a task and its node say to each other about batches. The host passes them on as they are.
 *
 * The node does not believe the half that comes from job code: numbers are checked on arrival, and name files only.
 */
import { z } from 'zod';
import { FINGERPRINT_LENGTH_MAX, STAGES_MAX } from '../base/limits.ts';

const POINT = z.number().int();
const NUMBER = z.number().int().nonnegative();

export const DATA_REQUEST = z.discriminatedUnion('kind', [
  /** A segment lies whole in its file: what the points [start, end) emitted. Numbers count from 1, without gaps. */
  z.strictObject({ kind: z.literal('sealed'), segment: NUMBER, start: POINT, end: POINT }),
  /** The next piece of a reading, which begins with rows of the input, or with the last checkpoint. */
  z.strictObject({
    kind: z.literal('read'),
    reading: NUMBER,
    source: z.discriminatedUnion('of', [
      z.strictObject({ of: z.literal('input'), start: POINT, end: POINT }),
      z.strictObject({ of: z.literal('checkpoint') }),
    ]),
  }),
  /** Nothing more is read of it. */
  z.strictObject({ kind: z.literal('close'), reading: NUMBER }),
  /** What stands behind a stage lies whole in its file. */
  z.strictObject({
    kind: z.literal('checkpoint'),
    number: NUMBER,
    stage: NUMBER.max(STAGES_MAX - 1),
    fingerprint: z.string().min(1).max(FINGERPRINT_LENGTH_MAX),
  }),
]);

/** From the code of a task to its node. */
export type DataRequest = z.infer<typeof DATA_REQUEST>;
export type ReadingSource = Extract<DataRequest, { kind: 'read' }>['source'];
/** Points of the task that emitted, and the number of the file. */
export type SealedSegment = Omit<Extract<DataRequest, { kind: 'sealed' }>, 'kind'>;
export type MadeCheckpoint = Omit<Extract<DataRequest, { kind: 'checkpoint' }>, 'kind'>;

/** From the node to the code of a task. */
export type DataAnswer =
  /** The segment is on enough disks. */
  | { readonly kind: 'kept'; readonly segment: number }
  /** Pieces count from 1; behind the last one nothing comes. */
  | { readonly kind: 'piece'; readonly reading: number; readonly piece: number; readonly isLast: boolean }
  | { readonly kind: 'unreadable'; readonly reading: number; readonly code: string; readonly detail: string }
  /** The checkpoint behind this stage is committed. */
  | { readonly kind: 'checkpointed'; readonly stage: number };
