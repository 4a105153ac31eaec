/**
 * The judge is judged: what is no catch must not count as one, and nothing that hangs holds up the rest.
 */
import { mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { test as caughtBy } from './mutant.ts';
import { runNode } from './programs.ts';
import { notGreen, verdictOf } from './verdict.ts';

const MODULES = resolve(import.meta.dirname, '../../node_modules');
const FAR_OFF_MS = 120_000;
const TOY = `
import { expect, test } from 'vitest';
test('is met', () => expect(1).toBe(1));
test('is not met', () => expect(1).toBe(2));
test('stumbles', () => { null.length; });
`;

let tree: string;
beforeAll(() => {
  tree = mkdtempSync(join(tmpdir(), 'polaris-verdicts-'));
  symlinkSync(MODULES, join(tree, 'node_modules'), 'dir');
  writeFileSync(join(tree, 'toy.test.ts'), TOY);
  writeFileSync(join(tree, 'unloadable.test.ts'), `import './nowhere.ts';\n${TOY}`);
});
afterAll(() => rmSync(tree, { recursive: true, force: true }));

test.each([
  ['toy', 'is not met', 'caught'],
  ['toy', 'is met', 'survived'],
  ['toy', 'stumbles', 'broken'],
  ['toy', 'is nowhere', 'broken'],
  ['unloadable', 'is not met', 'broken'],
])('what %s says of the test that %s: %s', async (name, title, kind) => {
  expect(await verdictOf(tree, caughtBy(`${name}.test.ts`, title))).toMatchObject({ kind });
});

test('what is red without a mutant, or not there, is named', async () => {
  const titles = ['is met', 'is not met', 'is nowhere'];
  expect(
    await notGreen(
      tree,
      titles.map((title) => caughtBy('toy.test.ts', title)),
    ),
  ).toEqual(['toy.test.ts: is not met: failed', 'toy.test.ts: is nowhere: there is no such test']);
});

test('what has no end goes at its limit, also when only a child of the program is left', async () => {
  // The child holds the output open: as long as it lives, the program counts as running.
  const endless = `process.execPath, ['-e', 'setInterval(() => {}, 1000)'], { stdio: 'inherit' }`;
  const script = `require('child_process').spawn(${endless}).unref()`;
  expect(await runNode({ tree, args: ['-e', script], msMax: 1_000 })).toMatchObject({ isStuck: true });
});

test('a program goes when it has said what was waited for', async () => {
  const script = `console.log('not yet'); console.log('now'); setInterval(() => {}, 1000)`;
  const ended = await runNode({ tree, args: ['-e', script], msMax: FAR_OFF_MS, line: (line) => line === 'now' });
  expect(ended).toMatchObject({ isStuck: false, tail: 'not yet\nnow' });
});
