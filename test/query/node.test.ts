/** Queries on a node that is a process: what becomes of them when it is killed, and when it starts again. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { tableFromArrays } from 'apache-arrow';
import { afterEach, expect, test } from 'vitest';
import { PolarisClient } from '../../src/client/client.ts';

const PROGRAM = join(import.meta.dirname ?? '.', '../../dist/bin/polaris.js');
const ENDLESS = 'SELECT sum(a.id * b.id + c.id) AS s FROM many a CROSS JOIN many b CROSS JOIN many c';

const directory = mkdtempSync(join(tmpdir(), 'polaris-query-node-'));
const dataDir = join(directory, 'data');
let node: ChildProcess | null = null;
afterEach(() => {
  node?.kill('SIGKILL');
  rmSync(directory, { recursive: true, force: true });
});

/** Resolves once the node has said where it listens. */
async function start(): Promise<PolarisClient> {
  const started = spawn(process.execPath, [PROGRAM, 'node', '--listen', '127.0.0.1:0', '--data-dir', dataDir], {
    stdio: ['ignore', 'ignore', 'pipe'],
  });
  node = started;
  const address = await new Promise<string>((resolve, reject) => {
    let said = '';
    started.stderr.on('data', (bytes: Buffer) => {
      said += bytes.toString();
      const [, found] = /"address":"([0-9.:]+)"/.exec(said) ?? [];
      if (found !== undefined) resolve(found);
    });
    started.once('exit', () => reject(new Error(`the node ended: ${said}`)));
  });
  return new PolarisClient({ urls: [`http://${address}`], timeoutMs: 60_000 });
}

/** Hosts and engines that the node has written down. */
const recorded = (): string[] => (existsSync(join(dataDir, 'hosts')) ? readdirSync(join(dataDir, 'hosts')) : []);
/** The remains of a process, which nobody may have looked after, run nothing. */
const runs = (pid: string | undefined): boolean => {
  if (!existsSync(`/proc/${pid}/stat`)) return false;
  return !/\) [ZX] /.test(readFileSync(`/proc/${pid}/stat`, 'utf8'));
};

test('a node that is killed takes its queries with it, and starts with nothing of them left', async () => {
  const client = await start();
  await client.store(tableFromArrays({ id: Int32Array.from({ length: 20_000 }, (_, at) => at) }), { name: 'many' });
  const asked = client.query(ENDLESS).catch((thrown: unknown) => thrown);
  await expect.poll(recorded, { timeout: 60_000 }).toHaveLength(1);
  const [pid] = recorded();
  expect(runs(pid)).toBe(true);
  const gone = once(node as ChildProcess, 'exit');
  node?.kill('SIGKILL');
  await gone;
  await expect.poll(() => runs(pid), { timeout: 60_000 }).toBe(false);
  expect(await asked).toMatchObject({ code: 'UNREACHABLE' });
  expect(readdirSync(join(dataDir, 'spool'))).toHaveLength(1);
  const again = await start();
  expect(readdirSync(join(dataDir, 'spool'))).toEqual([]);
  expect((await again.query('SELECT count(*) AS n FROM many')).get(0)?.['n']).toBe(20_000);
  expect(recorded()).toEqual([]);
});
