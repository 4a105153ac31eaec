/**
 * docs/reference/errors.md says exactly what the error table says. With REWRITE=1 the page is written anew; read its
 * diff before committing it.
 */
import { readFileSync, writeFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { expect, test } from 'vitest';
import { ERRORS, type ErrorCode } from '../../src/base/errors.ts';

const PAGE = resolve(import.meta.dirname ?? '.', '../../docs/reference/errors.md');
const CODES = Object.keys(ERRORS) as ErrorCode[];
const HEADER = ['| code | HTTP | exit | retry | meaning |', '| --- | --- | --- | --- | --- |'];

function rowOf(code: ErrorCode): string {
  const { status, exit, retry, text } = ERRORS[code];
  return `| \`${code}\` | ${status} | ${exit} | ${retry ? 'yes' : 'no'} | ${text} |`;
}

function pageRows(): readonly string[] {
  return readFileSync(PAGE, 'utf8')
    .split('\n')
    .filter((line) => line.startsWith('| `'));
}

if (process.env['REWRITE'] === '1') {
  const page = readFileSync(PAGE, 'utf8');
  const introduction = page.slice(0, page.indexOf(HEADER[0] ?? ''));
  writeFileSync(PAGE, `${introduction}${[...HEADER, ...CODES.map(rowOf)].join('\n')}\n`);
}

test('every error of the table is in the page, word for word', () => {
  const rows = new Set(pageRows());
  expect(CODES.map(rowOf).filter((row) => !rows.has(row))).toEqual([]);
});

test('every error of the page is in the table', () => {
  const documented = pageRows().map((row) => /^\| `([^`]+)`/.exec(row)?.[1] ?? row);
  expect(documented.filter((code) => !Object.hasOwn(ERRORS, code))).toEqual([]);
  expect(new Set(documented).size).toBe(documented.length);
});

test('exit codes keep to the list that the CLI promises', () => {
  const promised = [0, 1, 2, 3, 4, 5, 6, 70];
  expect(CODES.filter((code) => !promised.includes(ERRORS[code].exit))).toEqual([]);
});
