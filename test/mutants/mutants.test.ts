/**
 * Each mutant still fits the code that it breaks, and names a test that is there. Whether the test catches it, `npm run
 * mutants` says.
 */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { edited, occurrences } from './mutant.ts';
import { MUTANTS, ROW_COUNT } from './mutants.ts';

const ROOT = join(import.meta.dirname, '../..');

test('each row of the classic bugs has its mutant', () => {
  const rows = Array.from({ length: ROW_COUNT }, (_, position) => position + 1);
  expect([...new Set(MUTANTS.map(({ row }) => row))]).toEqual(rows);
  for (const { name, catchers } of MUTANTS) expect(catchers, name).not.toEqual([]);
});

describe('each mutant applies', () => {
  test.each(MUTANTS)('row $row: $name', ({ edits, catchers }) => {
    expect(edits.length).toBeGreaterThan(0);
    const sources = new Map<string, string>();
    for (const edit of edits) {
      const source = sources.get(edit.file) ?? readFileSync(join(ROOT, edit.file), 'utf8');
      expect(occurrences(source, edit.find), `in ${edit.file}: ${edit.find}`).toBe(1);
      expect(edit.replace).not.toBe(edit.find);
      sources.set(edit.file, edited(source, edit));
    }
    for (const { file, title } of catchers.filter((catcher) => catcher.kind === 'test')) {
      const tests = readFileSync(join(ROOT, file), 'utf8');
      expect(occurrences(tests, `'${title}'`), `in ${file}: ${title}`).toBe(1);
    }
  });
});

test('an edit that does not fit is refused', () => {
  const edit = { file: 'x', find: 'a', replace: '$&' };
  expect(edited('bab', edit)).toBe('b$&b');
  expect(() => edited('aba', edit)).toThrow('2 times');
  expect(() => edited('b', edit)).toThrow('0 times');
});
