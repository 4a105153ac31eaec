/**
 * Ports of `polaris dev`: all different, all free, and the same again in a directory that was kept.
 */
import { mkdtempSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { nodeArguments } from '../../src/cli/dev-node.ts';
import { choosePorts } from '../../src/cli/dev-ports.ts';

/** Not where `polaris dev` looks: one may be starting beside this test. */
const FIRST_PORT = 17_070;

function directory(): string {
  return mkdtempSync(join(tmpdir(), 'polaris-ports-'));
}

test('ports are all different and can be listened on', async () => {
  const ports = await choosePorts(directory(), 5, FIRST_PORT);
  expect(new Set(ports).size).toBe(5);
  const servers = await Promise.all(
    ports.map(
      (port) =>
        new Promise<ReturnType<typeof createServer>>((resolve, reject) => {
          const server = createServer().once('error', reject);
          server.listen(port, '127.0.0.1', () => resolve(server));
        }),
    ),
  );
  // While they are taken, others are chosen, and none of those that the system gives away.
  const others = await choosePorts(directory(), 2, FIRST_PORT);
  expect(others.filter((port) => ports.includes(port))).toEqual([]);
  expect(Math.max(...ports, ...others)).toBeLessThan(32_768);
  for (const server of servers) server.close();
});

test('a kept directory keeps its ports, and its number of nodes', async () => {
  const kept = directory();
  const ports = await choosePorts(kept, 3, FIRST_PORT);
  expect(await choosePorts(kept, 3, FIRST_PORT)).toEqual(ports);
  await expect(choosePorts(kept, 5, FIRST_PORT)).rejects.toMatchObject({
    code: 'USAGE',
    detail: expect.stringContaining('3'),
  });
});

test.each(['{', '{}', '{"ports":["x"]}'])('a damaged record %s is refused', async (text) => {
  const kept = directory();
  writeFileSync(join(kept, 'dev.json'), text);
  await expect(choosePorts(kept, 3, FIRST_PORT)).rejects.toMatchObject({ code: 'USAGE' });
});

test('each node is told all of them, and a directory of its own', () => {
  expect(nodeArguments({ index: 1, ports: [7, 8], directory: '/d' })).toEqual([
    ...['--id', 'n2', '--listen', '127.0.0.1:8', '--peers', 'n1=127.0.0.1:7,n2=127.0.0.1:8', '--data-dir', '/d/n2'],
  ]);
});
