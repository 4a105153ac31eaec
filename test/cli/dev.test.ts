/**
 * `polaris dev` for real: it says where the cluster is, works, and leaves nothing behind.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, readFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { createInterface } from 'node:readline';
import { expect, test } from 'vitest';
import { PolarisClient } from '../../src/client/client.ts';

const ROOT = resolve(import.meta.dirname ?? '.', '../..');

test('a cluster comes up, knows its leader, and ends with the command', async () => {
  const directory = mkdtempSync(join(tmpdir(), 'polaris-dev-test-'));
  const args = ['--import', 'tsx', 'bin/polaris.ts', 'dev', '--nodes', '3', '--data-dir', directory, '--slots', '1'];
  const child = spawn(process.execPath, args, {
    ...{ cwd: ROOT, stdio: ['ignore', 'pipe', 'inherit'] as const },
    env: { PATH: process.env['PATH'] ?? '' },
  });
  const ended = once(child, 'exit');
  const urls: string[] = [];
  for await (const line of createInterface({ input: child.stdout })) if (urls.push(line) === 3) break;
  const client = new PolarisClient({ urls });
  const status = await client.cluster();
  expect(status.members.map(({ id }) => id).sort()).toEqual(['n1', 'n2', 'n3']);
  expect(['n1', 'n2', 'n3']).toContain(status.leader);
  child.kill('SIGTERM');
  expect((await ended)[0]).toBe(0);
  await expect(fetch(`${urls[0]}/livez`)).rejects.toThrow();
  expect(JSON.parse(readFileSync(join(directory, 'dev.json'), 'utf8')).ports).toHaveLength(3);
  expect(existsSync(join(directory, 'n3'))).toBe(true);
});
