/**
 * Stages: which stages of a pipeline run, and where checkpoints are written, as arithmetic.
 *
 * A pipeline falls into segments, each ending where a checkpoint is written or where the pipeline ends. Batches stream
 * through all stages of a segment, and the next segment begins only when the checkpoint before it is durable: so a stage
 * in front of a checkpoint never runs again, whatever happens behind it.
 *
 * Invariants: the segments of a run tile the stages that are left · a checkpoint of other code is never resumed from.
 */
import { createHash } from 'node:crypto';
import type { Schema } from 'apache-arrow';
import { assert } from '../base/assert.ts';

/** After every stage, after every n-th, or never. */
export type CheckpointPolicy = 'every-stage' | 'none' | { readonly everyN: number };

/** What a stage says of what it gives. Whoever changes its meaning and not its code changes its version. */
export interface StageDeclaration {
  readonly name: string;
  readonly version: string | null;
  readonly output: Schema | null;
}

/** Stages `[from, to)`, and whether what comes out is kept. */
export interface Segment {
  readonly from: number;
  readonly to: number;
  readonly saves: boolean;
}

/** What is said of a checkpoint that was found: the index of the stage that it was written behind, and of which code. */
export interface FoundCheckpoint {
  readonly stage: number;
  readonly fingerprint: string;
}

export interface ResumePoint<C extends FoundCheckpoint> {
  /** First stage to run; as many as there are stages when only their result is still to be emitted. */
  readonly from: number;
  /** What is resumed from; null where the range begins anew. */
  readonly checkpoint: C | null;
  /** Checkpoints of other code, which are not used. */
  readonly foreign: readonly C[];
}

/**
 * Names, versions and schemas of all stages in order, and the content hash of the job type: 32 hexadecimal digits. Code
 * that has another fingerprint could go on from a checkpoint as if nothing were wrong, and give a result that no code gives.
 */
export function pipelineFingerprint(pipeline: string, stages: readonly StageDeclaration[], codeHash: string): string {
  const declared = stages.map(({ name, version, output }) => [
    name,
    version,
    output === null ? null : schemaText(output),
  ]);
  return createHash('sha256')
    .update(JSON.stringify([1, pipeline, codeHash, declared]))
    .digest('hex')
    .slice(0, 32);
}

/** `product: Utf8, amount: Int64 not null` */
export function schemaText({ fields }: Schema): string {
  return fields.map(({ name, type, nullable }) => `${name}: ${type}${nullable ? '' : ' not null'}`).join(', ');
}

/** Where to go on, given what was found of earlier attempts at the same range: behind the last checkpoint of this code. */
export function resumePoint<C extends FoundCheckpoint>(
  stageCount: number,
  fingerprint: string,
  found: readonly C[],
): ResumePoint<C> {
  const isOwn = (each: C) => each.fingerprint === fingerprint && each.stage >= 0 && each.stage < stageCount;
  const foreign = found.filter((each) => !isOwn(each));
  let checkpoint: C | null = null;
  for (const each of found) {
    if (isOwn(each) && (checkpoint === null || each.stage > checkpoint.stage)) checkpoint = each;
  }
  return { from: checkpoint === null ? 0 : checkpoint.stage + 1, checkpoint, foreign };
}

/** The segments of a run that begins at stage `from`: none when nothing is left to run. */
export function planSegments(stageCount: number, policy: CheckpointPolicy, from: number): readonly Segment[] {
  assert(from >= 0 && from <= stageCount, 'a run begins at one of the stages, or behind the last');
  const segments: Segment[] = [];
  let begun = from;
  for (let stage = from; stage < stageCount; stage++) {
    const saves = savesAfter(policy, stage);
    if (!saves && stage + 1 < stageCount) continue;
    segments.push({ from: begun, to: stage + 1, saves });
    begun = stage + 1;
  }
  return segments;
}

function savesAfter(policy: CheckpointPolicy, stage: number): boolean {
  if (policy === 'every-stage') return true;
  return policy !== 'none' && (stage + 1) % policy.everyN === 0;
}
