/**
 * docs/reference/cli.md names every setting as the table has it, and no other.
 */
import { readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { expect, test } from 'vitest';
import { environmentName, SETTING_KEYS, SETTINGS } from '../../src/base/config.ts';

const PAGE = readFileSync(resolve(import.meta.dirname ?? '.', '../../docs/reference/cli.md'), 'utf8');

test('the page has a row for each setting, and each row is one of the table', () => {
  const rows = PAGE.split('\n').filter((line) => line.startsWith('| `--'));
  const expected = SETTING_KEYS.map((key) => {
    const { flag, defaultText } = SETTINGS[key];
    return `| \`--${flag}\` | \`${environmentName(key)}\` | \`${key}\` | ${defaultText} |`;
  });
  expect(rows).toEqual(expected);
});
