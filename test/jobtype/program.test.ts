import { expect, it } from 'vitest';
import type { Delivery } from '../../src/ranges/types.ts';
import { type Bench, goneProcess, inMs, openBench, runs } from './harness.ts';

interface More {
  readonly delivery?: Delivery;
  readonly taskTimeoutMs?: number;
}

function shell(bench: Bench, script: string, more: More & object = {}): number {
  const { delivery = 'at-least-once', taskTimeoutMs, ...others } = more;
  const metadata = { command: ['sh', '-c', script], ...others };
  return bench.run('exec', { start: 10, end: 20, delivery, ...(taskTimeoutMs && { taskTimeoutMs }), metadata });
}

it('exit 0 is the whole task done', async () => {
  const bench = await openBench({ commit: true });
  const epoch = shell(bench, 'true');
  expect(await bench.ending(epoch)).toEqual({ epoch, cursor: 20, begun: 20, ending: 'complete', error: '' });
  expect(bench.records()).toEqual([String(bench.hostStarts()[0])]);
});

it('templates and environment tell the program what to do', async () => {
  const bench = await openBench({ commit: true });
  const command = ['sh', '-c', 'echo "$0 $1 $POLARIS_JOB $POLARIS_START $POLARIS_END $POLARIS_EPOCH $COLOUR $PWD"'];
  const metadata = { command: [...command, '{job}:{start}', '{end}/{epoch}{other}'], cwd: '/', env: { COLOUR: 'red' } };
  await bench.ending(bench.run('exec', { start: 10, cursor: 12, end: 20, metadata }));
  expect(bench.lines('stdout')).toEqual(['exec-job:12 20/1{other} exec-job 12 20 1 red /']);
});

it('another exit fails the task with the end of stderr', async () => {
  const bench = await openBench({ commit: true });
  const epoch = shell(bench, 'echo "no such table" >&2; exit 7');
  const error = 'exit 7: no such table';
  expect(await bench.ending(epoch)).toEqual({ epoch, cursor: 10, begun: 20, ending: 'fail', error });
});

it('a program that takes longer than its task may is killed with all that it started, and has failed', async () => {
  const bench = await openBench({ commit: true });
  const epoch = shell(bench, 'echo 15 >&3; trap "" TERM; sleep 1000 & echo $!; wait', { taskTimeoutMs: 3_000 });
  const child = Number(
    await bench.when((some) => (some.kind === 'line' && some.source === 'stdout' ? some.line : null)),
  );
  const error = 'timed out: the task ran longer than its taskTimeoutMs of 3000 ms';
  expect(await bench.ending(epoch)).toMatchObject({ ending: 'fail', error });
  await goneProcess(child);
});

it('a signal fails the task by its name', async () => {
  const bench = await openBench({ commit: true });
  expect(await bench.ending(shell(bench, 'kill -9 $$'))).toMatchObject({ ending: 'fail', error: 'killed by SIGKILL' });
});

it.each([
  [{ command: ['/no/such/program'] }, 'program not found on this node: /no/such/program'],
  [{ command: ['/etc/passwd'] }, 'program cannot be executed on this node: /etc/passwd'],
  [{ command: ['true'], cwd: '/no/such' }, 'the directory /no/such does not exist on this node'],
  [{ command: [] }, 'BAD_METADATA: metadata.command must be a list of strings, the program first'],
  [{ command: ['true'], env: { A: 1 } }, 'BAD_METADATA: metadata.env must be an object of strings'],
])('%j cannot be started, says why, and has begun nothing', async (metadata, error) => {
  const bench = await openBench({ commit: true });
  const epoch = bench.run('exec', { metadata });
  expect(await bench.ending(epoch)).toEqual({ epoch, cursor: 0, begun: 0, ending: 'fail', error });
});

it('lines on descriptor 3 move the cursor, and nonsense does not', async () => {
  const bench = await openBench({ commit: true });
  const epoch = shell(bench, "printf '13\\nhello\\n12\\n99\\n1e1\\n\\n17\\n' >&3; exit 1");
  expect(await bench.ending(epoch)).toEqual({ epoch, cursor: 17, begun: 20, ending: 'fail', error: 'exit 1' });
});

it('a progress line is told while the program runs', async () => {
  const bench = await openBench({ commit: true });
  const epoch = shell(bench, 'echo 15 >&3; exec sleep 1000');
  expect(await bench.progressed(epoch, 15)).toBe(20);
  bench.executor.release(epoch);
  expect(await bench.ending(epoch)).toEqual({ epoch, cursor: 15, begun: 20, ending: 'release', error: '' });
});

it('a release asks with SIGTERM, and a program may use it to say its last', async () => {
  const bench = await openBench({ commit: true });
  const epoch = shell(bench, 'trap "echo 18 >&3; exit 1" TERM; echo ready; while :; do sleep 0.01; done');
  await bench.line('ready');
  bench.executor.release(epoch);
  expect(await bench.ending(epoch)).toEqual({ epoch, cursor: 18, begun: 20, ending: 'release', error: '' });
});

it('a program that ignores SIGTERM is killed with all that it started', async () => {
  const bench = await openBench({ commit: true });
  const epoch = shell(bench, 'trap "" TERM; sleep 1000 & echo "child $!"; wait; while :; do sleep 1000; done');
  const child = Number((await bench.line(/^child/)).split(' ')[1]);
  bench.executor.release(epoch);
  expect(await bench.ending(epoch)).toMatchObject({ ending: 'release' });
  await goneProcess(child);
});

it('what a program leaves behind ends with it', async () => {
  const bench = await openBench({ commit: true });
  const epoch = shell(bench, 'sleep 1000 & echo "child $!"');
  const child = Number((await bench.line(/^child/)).split(' ')[1]);
  expect(await bench.ending(epoch)).toMatchObject({ ending: 'complete' });
  expect(runs(child)).toBe(false);
});

it('at the deadline a program is killed', async () => {
  const bench = await openBench({ commit: true });
  const epoch = shell(bench, 'trap "" TERM; echo "program $$"; while :; do sleep 1000; done');
  const program = Number((await bench.line(/^program/)).split(' ')[1]);
  bench.executor.deadline(inMs(20));
  expect(await bench.ending(epoch)).toMatchObject({ ending: 'release', begun: 20 });
  expect(runs(program)).toBe(false);
});

it('when its host is killed a program goes too, and its whole task counts as begun', async () => {
  const bench = await openBench({ commit: true });
  const epoch = shell(bench, 'echo 14 >&3; echo "program $$"; exec sleep 1000');
  const program = Number((await bench.line(/^program/)).split(' ')[1]);
  await bench.progressed(epoch, 14);
  process.kill(bench.hostStarts()[0] ?? 0, 'SIGKILL');
  const error = 'job host was killed by SIGKILL';
  expect(await bench.ending(epoch)).toEqual({ epoch, cursor: 14, begun: 20, ending: 'fail', error });
  await goneProcess(program);
  expect(bench.records()).toEqual([]);
});

it('at most once, a program starts when its whole task is claimed, and not before', async () => {
  const bench = await openBench({ commit: false });
  const epoch = shell(bench, 'echo started', { delivery: 'at-most-once' });
  const other = shell(bench, 'echo other', {});
  await bench.ending(other);
  expect(bench.lines('stdout')).toEqual(['other']);
  bench.commit(epoch, 10, 20);
  expect(await bench.ending(epoch)).toMatchObject({ cursor: 20, begun: 20, ending: 'complete' });
  expect(bench.lines('stdout')).toEqual(['other', 'started']);
});

it.each(['release', 'abort'] as const)('at most once, a %s before the claim starts no program', async (how) => {
  const bench = await openBench({ commit: false });
  const epoch = shell(bench, 'echo started', { delivery: 'at-most-once' });
  bench.executor[how](epoch);
  expect(await bench.ending(epoch)).toMatchObject({ cursor: 10, begun: 10, ending: 'release' });
  expect(bench.lines('stdout')).toEqual([]);
});
