/**
 * Ports of test clusters: two processes that look in the same place are given different ones, also those of a cluster
 * whose nodes are all down just now.
 */
import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { expect, test } from 'vitest';
import { takePorts } from '../../chaos/ports.ts';

const BLOCK = 7;
const COUNT = 40;
/** Where the system begins to choose for those that do not care. */
const SYSTEM_FROM = 32_768;

test('two processes own different ports, outside of what the system gives away', async () => {
  const ours = [...(await takePorts(1, BLOCK)), ...(await takePorts(COUNT, BLOCK))];
  const program = `import { takePorts } from './chaos/ports.ts';
    console.log(JSON.stringify(await takePorts(${COUNT}, ${BLOCK})));`;
  const words = ['--import', 'tsx', '--input-type=module', '--eval', program];
  const { stdout } = await promisify(execFile)(process.execPath, words);
  const theirs = JSON.parse(stdout) as number[];
  expect(new Set([...ours, ...theirs]).size).toBe(COUNT + 1 + COUNT);
  expect(Math.max(...ours, ...theirs)).toBeLessThan(SYSTEM_FROM);
});
