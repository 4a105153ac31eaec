/**
 * docs/reference/http.md names every option of a job with its default and its bounds, and no other.
 */
import { readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { expect, test } from 'vitest';
import { controlsOf, fillOptions, NUMBER_OPTIONS } from '../../src/ranges/options.ts';

const PAGE = readFileSync(resolve(import.meta.dirname ?? '.', '../../docs/reference/http.md'), 'utf8');
const DEFAULTS = fillOptions({});

/** Cells of the rows of the table of options, by the name in the first one. */
const ROWS = new Map(
  PAGE.slice(PAGE.indexOf('| option | default |'), PAGE.indexOf('Options with a star'))
    .split('\n')
    .filter((line) => line.startsWith('| `'))
    .map((line) => line.split('|').map((cell) => cell.trim()))
    .map(([, name = '', fallback, bounds]) => [name.replaceAll('`', ''), { fallback, bounds }]),
);

test('the page has a row for each option, with a star where it may change', () => {
  const controls = controlsOf(DEFAULTS);
  const names = Object.keys(DEFAULTS).map((name) => (Object.hasOwn(controls, name) ? `${name} *` : name));
  expect([...ROWS.keys()].sort()).toEqual(names.sort());
});

test.each(Object.entries(DEFAULTS))('the default of %s is %s', (name, value) => {
  const row = ROWS.get(name) ?? ROWS.get(`${name} *`);
  expect(row?.fallback).toBe(String(value));
});

// The bound of `at` says nothing to a reader: any time.
test.each(Object.entries(NUMBER_OPTIONS).filter(([name]) => name !== 'at'))(
  'the bounds of %s',
  (name, { min, max }) => {
    const row = ROWS.get(name) ?? ROWS.get(`${name} *`);
    expect(row?.bounds).toBe(`${min} to ${max}`);
  },
);
