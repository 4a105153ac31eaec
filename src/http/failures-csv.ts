/**
 * Failures as CSV (RFC 4180), one row a range.
 */
import type { FailedJson, UncertainJson } from './job-json.ts';

const HEADER = 'kind,start,end,attempts,worker,epoch,at,error';
const LINE_END = '\r\n';

export interface FailureRows {
  readonly failed: Iterable<FailedJson>;
  readonly uncertain: Iterable<UncertainJson>;
}

/** Line by line, the header first. */
export function* failuresCsv({ failed, uncertain }: FailureRows): Iterable<string> {
  yield `${HEADER}${LINE_END}`;
  for (const { start, end, attempts, worker, at, error } of failed) {
    yield line(['failed', start, end, attempts, worker, '', at, error]);
  }
  for (const { start, end, worker, epoch, at } of uncertain) {
    yield line(['uncertain', start, end, '', worker, epoch, at, '']);
  }
}

function line(cells: readonly (string | number)[]): string {
  return `${cells.map(cell).join(',')}${LINE_END}`;
}

/** A text from outside that begins like a formula must not become one in a spreadsheet. */
function cell(value: string | number): string {
  const text = typeof value === 'string' && /^[=+\-@\t\r]/.test(value) ? `'${value}` : String(value);
  return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}
