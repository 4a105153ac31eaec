/**
 * Judging: what each delivery promised, held against what was counted.
 *
 * A strike is the price that was agreed on: of whatever it ended, at most `commitEvery` points had their effect and not yet
 * their commit. An exception ends a task in order, so it costs no repetition at all; and what a sink fences, nothing costs.
 */
import { unreachable } from '../src/base/assert.ts';
import { outside, type SinkCount } from './count.ts';
import type { RowSpec, SpanOfPoints } from './row.ts';

export interface Evidence {
  readonly spec: RowSpec;
  readonly commitEvery: number;
  readonly strikes: number;
  readonly count: SinkCount;
  /** How the job stands in the end, as the rest of "this one …". */
  readonly ending: string;
  /** Nodes that ended although nobody struck them. */
  readonly endedByThemselves: readonly string[];
  /** Null when the job did not end. */
  readonly verify: {
    readonly covered: boolean;
    readonly uncertain: readonly SpanOfPoints[];
    readonly failed: readonly SpanOfPoints[];
  } | null;
}

/** Points named in one sentence. */
const NAMED_MAX = 10;

/** One sentence for each promise that was broken; none when all were kept. */
export function brokenPromises(evidence: Evidence): string[] {
  const { count, verify } = evidence;
  const broken = evidence.endedByThemselves.map((id) => `no node ends by itself: ${id} did`);
  if (verify === null) return [...broken, `every job ends: this one ${evidence.ending}`];
  if (!verify.covered) broken.push('a job that is done is covered: verify says that this one is not');
  if (verify.failed.length > 0)
    broken.push(`no point fails here: ${JSON.stringify(verify.failed.slice(0, NAMED_MAX))}`);
  if (count.foreign.length > 0) broken.push(`nothing outside the job is worked: ${named(count.foreign)}`);
  switch (evidence.spec.delivery) {
    case 'at-least-once':
      return [...broken, ...atLeastOnce(evidence)];
    case 'at-most-once':
      return [...broken, ...atMostOnce(evidence, verify.uncertain)];
    case 'exactly-once':
      return [...broken, ...noneMissing(count), ...noneTwice(count)];
    default:
      return unreachable(evidence.spec.delivery);
  }
}

function atLeastOnce({ spec, commitEvery, strikes, count }: Evidence): string[] {
  // Without a kill every task ends in order, with its cursor.
  if (spec.mode === 'soft' && spec.nemeses.length === 0) return [...noneMissing(count), ...noneTwice(count)];
  const broken = noneMissing(count);
  const { duplicates, repeatedOfOneLeaseMax } = count;
  if (duplicates.length > commitEvery * strikes) {
    broken.push(`at most ${commitEvery} twice for each of ${strikes} strikes: ${named(duplicates)}`);
  }
  if (repeatedOfOneLeaseMax > commitEvery) {
    broken.push(`a lost lease repeats at most ${commitEvery} points: one repeated ${repeatedOfOneLeaseMax}`);
  }
  return broken;
}

function atMostOnce({ commitEvery, strikes, count }: Evidence, uncertain: readonly SpanOfPoints[]): string[] {
  const broken = noneTwice(count);
  const { missing } = count;
  if (missing.length > commitEvery * strikes) {
    broken.push(`at most ${commitEvery} missing for each of ${strikes} strikes: ${named(missing)}`);
  }
  const unlisted = outside(missing, uncertain);
  if (unlisted.length > 0) broken.push(`what is missing is listed as uncertain: ${named(unlisted)} not`);
  return broken;
}

function noneMissing({ missing }: SinkCount): string[] {
  return missing.length === 0 ? [] : [`nothing is missing: ${named(missing)}`];
}

function noneTwice({ duplicates }: SinkCount): string[] {
  return duplicates.length === 0 ? [] : [`nothing is there twice: ${named(duplicates)}`];
}

function named(points: readonly number[]): string {
  const more = points.length > NAMED_MAX ? ', …' : '';
  return `${points.length === 1 ? 'point' : `${points.length} points,`} ${points.slice(0, NAMED_MAX).join(', ')}${more}`;
}
