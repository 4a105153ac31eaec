/**
 * Failures as CSV (RFC 4180): one row a range, for a spreadsheet, or for the script that repairs what failed.
 */
import type { FailuresJson } from './job-json.ts';

const HEADER = 'kind,start,end,attempts,worker,epoch,at,error';
const LINE_END = '\r\n';

export function failuresCsv({ failed, uncertain }: FailuresJson): string {
  const rows = [
    ...failed.map((range) => [
      'failed',
      range.start,
      range.end,
      range.attempts,
      range.worker,
      '',
      range.at,
      range.error,
    ]),
    ...uncertain.map((range) => ['uncertain', range.start, range.end, '', range.worker, range.epoch, range.at, '']),
  ];
  return [HEADER, ...rows.map((row) => row.map(cell).join(','))].map((line) => `${line}${LINE_END}`).join('');
}

/** A text from outside that begins like a formula must not become one in a spreadsheet. */
function cell(value: string | number): string {
  const text = typeof value === 'string' && /^[=+\-@\t\r]/.test(value) ? `'${value}` : String(value);
  return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}
