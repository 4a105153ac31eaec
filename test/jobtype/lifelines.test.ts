/**
 * What holds when the node itself is killed or stopped: a small node is started as a process of its own and lost.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, readFileSync, readlinkSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { endLeftoverHosts } from '../../src/jobtype/executor.ts';
import { startTimeOf } from '../../src/jobtype/proc.ts';
import { fillOptions } from '../../src/ranges/options.ts';
import type { TaskOrder } from '../../src/wire/messages.ts';
import { goneProcess, inMs, makeDataDir, runs, stoppedProcess } from './harness.ts';
import { PARENT_ENTRY } from './paths.ts';

type Said = Readonly<Record<string, unknown>> & { readonly event: string };

let dataDir: string;
const parents: ChildProcess[] = [];

beforeEach(() => {
  dataDir = makeDataDir();
});

afterEach(async () => {
  for (const parent of parents.splice(0)) parent.kill('SIGKILL');
  await endLeftoverHosts(dataDir);
  rmSync(dataDir, { recursive: true, force: true });
});

/** A node that runs one task; `heard` resolves with the first thing it says that fits. */
function startParent(name: string, metadata: object, deadlineMs: number | null = null) {
  const order: TaskOrder = {
    epoch: 1,
    job: 'a-job',
    name,
    start: 0,
    end: 10,
    cursor: 0,
    claimed: 0,
    metadata: JSON.stringify(metadata),
    options: fillOptions({ commitEvery: 100, commitIntervalMs: 20 }),
    attempts: 0,
    input: null,
    checkpoint: null,
  };
  const args = ['--import', 'tsx', PARENT_ENTRY, dataDir, JSON.stringify({ deadlineMs, order })];
  // A group of its own, as a supervisor or a shell gives it to a node.
  const parent = spawn(process.execPath, args, { detached: true, stdio: ['ignore', 'pipe', 'inherit'] });
  parents.push(parent);
  const said: Said[] = [];
  let wakeUp = () => {};
  createInterface({ input: parent.stdout }).on('line', (line) => {
    said.push(JSON.parse(line));
    wakeUp();
  });
  async function heard(fits: (said: Said) => boolean): Promise<Said> {
    for (;;) {
      const found = said.find(fits);
      if (found !== undefined) return found;
      await new Promise<void>((resolve) => {
        wakeUp = resolve;
      });
    }
  }
  const line = async (text: RegExp) => String((await heard((one) => text.test(String(one['line'])))).line);
  const host = async () => Number((await heard((one) => one.event === 'job host started')).pid);
  return { pid: parent.pid ?? 0, said, heard, line, host };
}

function openFiles(pid: number): string[] {
  const dir = `/proc/${pid}/fd`;
  return readdirSync(dir).map((fd) => readlinkSync(join(dir, fd)));
}

it.each(['loop', 'deaf'])('a host in a %s ends when its node is killed', async (how) => {
  const parent = startParent('misbehave', { at: 4, how });
  const host = await parent.host();
  await parent.heard((one) => one.event === 'progress' && one['cursor'] === 4);
  process.kill(parent.pid, 'SIGKILL');
  await goneProcess(host);
});

it('no file of the node is open in a host or in its programs', async () => {
  const parent = startParent('exec', {
    command: ['sh', '-c', 'echo "files $(readlink /proc/$$/fd/* | tr "\\n" " ")"; sleep 1000'],
  });
  const ofProgram = await parent.line(/^files/);
  const ofHost = openFiles(await parent.host());
  expect(openFiles(parent.pid)).toContainEqual(expect.stringContaining(dataDir));
  expect(ofHost.filter((path) => path.startsWith(dataDir))).toEqual([]);
  expect(ofProgram).not.toContain(dataDir);
});

it('the programs of a host, and their children, end when its node is killed', async () => {
  const parent = startParent('exec', { command: ['sh', '-c', 'sleep 1000 & echo "pids $$ $!"; wait'] });
  const [, program, child] = (await parent.line(/^pids/)).split(' ').map(Number);
  process.kill(parent.pid, 'SIGKILL');
  for (const pid of [await parent.host(), program, child]) await goneProcess(pid ?? 0);
});

it('while the node is stopped its host keeps the deadline', async () => {
  const parent = startParent('exec', { command: ['sh', '-c', 'echo "program $$"; exec sleep 1000'] }, 2_000);
  const program = Number((await parent.line(/^program/)).split(' ')[1]);
  process.kill(parent.pid, 'SIGSTOP');
  await stoppedProcess(parent.pid);
  const stoppedAt = inMs(0);
  await goneProcess(program);
  expect(inMs(0) - stoppedAt).toBeGreaterThan(1_000);
  expect(runs(await parent.host())).toBe(true);
  process.kill(parent.pid, 'SIGCONT');
  const { ending } = await parent.heard((one) => one.event === 'ended');
  expect(ending).toMatchObject({ ending: 'release', cursor: 0, begun: 10 });
});

it('while the node is stopped its host ends an endless loop at the deadline', async () => {
  const parent = startParent('misbehave', { at: 4, how: 'loop' }, 2_000);
  await parent.heard((one) => one.event === 'progress' && one['cursor'] === 4);
  const host = await parent.host();
  expect(threadsOf(host)).toBeGreaterThan(1);
  const before = threadsOf(host);
  process.kill(parent.pid, 'SIGSTOP');
  await stoppedProcess(parent.pid);
  while (threadsOf(host) >= before) await new Promise((resolve) => setImmediate(resolve));
  process.kill(parent.pid, 'SIGCONT');
  const { ending } = await parent.heard((one) => one.event === 'ended');
  expect(ending).toMatchObject({ ending: 'release', cursor: 4, begun: 5 });
});

it('a starting node ends the host that its former life left stopped, with its programs', async () => {
  const parent = startParent('exec', { command: ['sh', '-c', 'echo "program $$"; exec sleep 1000'] });
  const program = Number((await parent.line(/^program/)).split(' ')[1]);
  const host = await parent.host();
  process.kill(host, 'SIGSTOP');
  await stoppedProcess(host);
  process.kill(parent.pid, 'SIGKILL');
  await goneProcess(parent.pid);
  expect(runs(host)).toBe(true);
  await endLeftoverHosts(dataDir);
  expect(runs(host)).toBe(false);
  expect(runs(program)).toBe(false);
  expect(readdirSync(join(dataDir, 'hosts'))).toEqual([]);
});

it('a record with the pid of a stranger ends nobody', async () => {
  const stranger = spawn('sleep', ['1000'], { detached: true, stdio: 'ignore' });
  parents.push(stranger);
  const { pid = 0 } = stranger;
  mkdirSync(join(dataDir, 'hosts'));
  const file = join(dataDir, 'hosts', String(pid));
  const startTime = String(Number(startTimeOf(pid)) - 1);
  writeFileSync(file, JSON.stringify({ pid, startTime, host: null }));
  await endLeftoverHosts(dataDir);
  expect(runs(pid)).toBe(true);
  expect(existsSync(file)).toBe(false);
});

it('a record that was cut off, and one that names everybody, end nobody', async () => {
  mkdirSync(join(dataDir, 'hosts'));
  writeFileSync(join(dataDir, 'hosts', '7'), '{"pid":7,"sta');
  writeFileSync(join(dataDir, 'hosts', '1'), JSON.stringify({ pid: 1, startTime: startTimeOf(1), host: null }));
  await endLeftoverHosts(dataDir);
  expect(readdirSync(join(dataDir, 'hosts'))).toEqual([]);
});

/** Threads that the system knows of a process. */
function threadsOf(pid: number): number {
  return Number(/^Threads:\s*(\d+)/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1]);
}
