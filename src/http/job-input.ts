/**
 * The input of a job: from the name of a dataset to the rows that it stands for at the moment of the submit.
 *
 * A job pins what it was given: its points are rows of one handle, whatever is put under that name later. The name itself
 * is kept in the spec, as a word of whoever submitted, so that the same words again mean the same job though the name has
 * moved on since.
 *
 * Invariant: the range of a job with an input lies within its rows.
 */
import { PolarisError } from '../base/errors.ts';
import type { Handle } from '../base/handle.ts';
import type { Range } from '../base/types.ts';
import type { JobSpec } from '../ranges/types.ts';
import type { HttpContext } from './route.ts';
import { readTable } from './settle.ts';

/** What a job works through: point p is row p of the input. */
export interface JobInput extends Range {
  readonly input: Handle;
  /** The name by which it was asked for. */
  readonly inputName: string;
}

/**
 * On the leader: what the dataset is at a linearizable read. `wanted` is the range that was asked for, null for all rows.
 *
 * @throws PolarisError NOT_FOUND, BAD_RANGE
 */
export async function resolveInput(
  context: Pick<HttpContext, 'api'>,
  inputName: string,
  wanted: Range | null,
): Promise<JobInput> {
  const input = await readTable(context.api, 'linearizable', (table) => table.dataset(inputName)?.handle);
  if (input === undefined) throw new PolarisError('NOT_FOUND', `there is no dataset "${inputName}" to be the input`);
  return { input, inputName, ...rangeWithin(input.rows, inputName, wanted) };
}

/** What the same words meant when they were said before; null when these are other words, or the first. */
export function inputBefore(before: JobSpec | undefined, inputName: string, wanted: Range | null): JobInput | null {
  if (before === undefined || before.input === null || before.inputName !== inputName) return null;
  const { input, start, end } = before;
  return { input, inputName, ...(wanted ?? { start, end }) };
}

/** @throws PolarisError BAD_RANGE */
export function rangeWithin(rows: number, inputName: string, wanted: Range | null): Range {
  if (rows === 0)
    throw new PolarisError('BAD_RANGE', `the dataset "${inputName}" has no rows, so there is no point to work`);
  const { start, end } = wanted ?? { start: 0, end: rows };
  if (start >= 0 && end <= rows) return { start, end };
  const detail = `points are rows of the dataset "${inputName}", which are [0, ${rows}), not [${start}, ${end})`;
  throw new PolarisError('BAD_RANGE', detail);
}
