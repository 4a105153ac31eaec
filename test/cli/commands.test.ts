/**
 * Commands: stdout carries data only, stderr says what went wrong, and the exit code is worth a script's trust.
 */
import { mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { PolarisError } from '../../src/base/errors.ts';
import { FakeClient, ID, jobOf, run, workerOf } from './fake-io.ts';

function file(name: string, text: string): string {
  const path = join(mkdtempSync(join(tmpdir(), 'polaris-cli-')), name);
  writeFileSync(path, text);
  return path;
}

describe('job submit', () => {
  const SUBMIT = ['job', 'submit', 'mail', '--start', '0', '--end', '100'];

  test('prints the id, alone', async () => {
    const client = new FakeClient();
    expect(await run(SUBMIT, { client })).toMatchObject({ exit: 0, stdout: `${ID}\n`, stderr: '' });
    expect(client.calls).toEqual([['submit', { name: 'mail', start: 0, end: 100, metadata: {}, options: {} }]]);
  });

  test('passes on metadata, id, options and the program behind --', async () => {
    const client = new FakeClient();
    const argv = [
      ...['job', 'submit', 'exec', '--start', '-5', '--end', '1_000', '--metadata', '{"a":1}', '--id', ID],
      ...['--option', 'commitEvery=5', '--option', 'delivery=at-most-once', '--', 'sh', '-c', 'echo {start}', '--help'],
    ];
    expect((await run(argv, { client })).exit).toBe(0);
    expect(client.calls[0]).toEqual([
      'submit',
      {
        ...{ name: 'exec', start: -5, end: 1_000, id: ID },
        metadata: { a: 1, command: ['sh', '-c', 'echo {start}', '--help'] },
        options: { commitEvery: 5, delivery: 'at-most-once' },
      },
    ]);
  });

  test('reads metadata from a file', async () => {
    const client = new FakeClient();
    await run([...SUBMIT, '--metadata', `@${file('m.json', '{"from":"file"}')}`], { client });
    expect(client.calls[0]?.[1]).toMatchObject({ metadata: { from: 'file' } });
  });

  test.each([
    ['no end', ['job', 'submit', 'mail', '--start', '0'], 'BAD_RANGE'],
    ['a fraction', ['job', 'submit', 'mail', '--start', '0', '--end', '1.5'], 'BAD_RANGE'],
    ['1e6', ['job', 'submit', 'mail', '--start', '0', '--end', '1e6'], 'BAD_RANGE'],
    ['NaN', ['job', 'submit', 'mail', '--start', 'NaN', '--end', '1'], 'BAD_RANGE'],
    ['an unsafe integer', ['job', 'submit', 'mail', '--start', '0', '--end', '9007199254740993'], 'BAD_RANGE'],
    ['metadata that is no JSON', [...SUBMIT, '--metadata', '{a'], 'USAGE'],
    ['metadata that is a list', [...SUBMIT, '--metadata', '[]'], 'USAGE'],
    ['a file that is not there', [...SUBMIT, '--metadata', '@/nonexistent'], 'USAGE'],
    ['an option without =', [...SUBMIT, '--option', 'x'], 'USAGE'],
    ['an option twice', [...SUBMIT, '--option', 'a=1', '--option', 'a=2'], 'USAGE'],
    ['a flag twice', [...SUBMIT, '--end', '7'], 'USAGE'],
    ['a command twice', [...SUBMIT, '--metadata', '{"command":["a"]}', '--', 'b'], 'USAGE'],
    ['a timeout without --wait', [...SUBMIT, '--timeout', '5s'], 'USAGE'],
    ['a timeout without a unit', [...SUBMIT, '--wait', '--timeout', '5'], 'USAGE'],
    ['an unknown flag', [...SUBMIT, '--prority', '5'], 'USAGE'],
    ['no name', ['job', 'submit'], 'USAGE'],
    ['two names', ['job', 'submit', 'a', 'b', '--start', '0', '--end', '1'], 'USAGE'],
  ])('%s is a usage error, and nothing is sent', async (_what, argv, code) => {
    const client = new FakeClient();
    const ran = await run(argv, { client });
    expect(ran).toMatchObject({ exit: 2, stdout: '', stderr: expect.stringContaining(`polaris: ${code}: `) });
    expect(client.calls).toEqual([]);
  });

  test('--wait follows to the end on stderr; stdout keeps the id alone', async () => {
    const client = new FakeClient();
    client.jobs = [
      jobOf({ state: 'running', progress: { done: 50 } }),
      jobOf({ state: 'done', progress: { done: 100 } }),
    ];
    const ran = await run([...SUBMIT, '--wait'], { client });
    expect(ran).toMatchObject({ exit: 0, stdout: `${ID}\n` });
    expect(ran.stderr).toMatch(/running 50\.0% 50\/100[^\n]*\ndone 100\.0% 100\/100/);
  });
});

describe('the end of a job is the exit code', () => {
  const ENDS = [
    ['done', 0],
    ['failed', 3],
    ['cancelled', 1],
  ] as const;
  test.each(ENDS)('%s is %i', async (state, exit) => {
    const client = new FakeClient();
    client.jobs = [jobOf({ state })];
    for (const argv of [
      ['job', 'watch', ID],
      ['job', 'wait', ID],
      ['job', 'submit', 'mail', '--start', '0', '--end', '1', '--wait'],
    ]) {
      expect((await run(argv, { client })).exit).toBe(exit);
    }
  });

  test.each([
    ['TIMED_OUT', 6],
    ['NO_LEADER', 5],
    ['UNREACHABLE', 5],
    ['JOB_NOT_FOUND', 1],
    ['AMBIGUOUS_ID', 2],
    ['SPEC_CONFLICT', 1],
    ['INTERNAL', 70],
  ] as const)('%s is %i, with its code on stderr', async (code, exit) => {
    const client = new FakeClient();
    client.failure = new PolarisError(code, 'because');
    const ran = await run(['job', 'wait', ID, '--timeout', '10m'], { client });
    expect(ran).toMatchObject({ exit, stdout: '' });
    expect(ran.stderr).toContain(`polaris: ${code}: because\n  `);
  });

  test('--timeout reaches the client in milliseconds', async () => {
    const client = new FakeClient();
    await run(['job', 'wait', ID, '--timeout', '1.5m'], { client });
    expect(client.calls[0]?.[2]).toMatchObject({ timeoutMs: 90_000 });
  });

  test('Ctrl-C ends the wait and not the job, and says how to go on', async () => {
    const client = new FakeClient();
    client.failure = new Error('aborted');
    const ran = await run(['job', 'wait', ID], { client, interrupted: true });
    expect(ran.exit).toBe(130);
    expect(ran.stderr).toContain(`polaris job watch ${ID}`);
    expect(client.calls.map(([name]) => name)).toEqual(['wait']);
  });
});

describe('job watch', () => {
  test('writes a line for each step, and none twice', async () => {
    const client = new FakeClient();
    const running = jobOf({ state: 'running', progress: { done: 10, ratePerSecond: 5, etaSeconds: 63 } });
    const finishedAt = '2026-01-01T00:00:09.000Z';
    client.jobs = [running, running, jobOf({ state: 'done', finishedAt, progress: { done: 100, reexecuted: 2 } })];
    const { stdout } = await run(['job', 'watch', ID], { client });
    expect(stdout).toBe('running 10.0% 10/100  5.0/s eta 1m 3s\ndone 100.0% 100/100  2 may have run again\n');
  });

  test('draws a bar on a terminal, without colour under NO_COLOR', async () => {
    const client = new FakeClient();
    client.jobs = [jobOf({ state: 'done', progress: { done: 100 } })];
    const plain = await run(['job', 'watch', ID], { client, tty: true, environment: { NO_COLOR: '1' } });
    expect(plain.stdout).toBe(`\r\u001b[2K[${'#'.repeat(30)}] done 100.0% 100/100  - eta -\n`);
    const coloured = await run(['job', 'watch', ID], { client, tty: true });
    expect(coloured.stdout).toContain('\u001b[32mdone\u001b[39m');
  });

  test('fits a bar into the width of the terminal, since a line that wraps cannot be drawn over', async () => {
    const client = new FakeClient();
    client.jobs = [jobOf({ state: 'paused', reason: 'the first 20 tasks failed '.repeat(9), progress: { done: 40 } })];
    const { stdout } = await run(['job', 'watch', ID], { client, tty: true, columns: 40 });
    expect(stdout).toBe('\r\u001b[2Kpaused 40.0% 40/100  - eta -  the first\n');
  });

  test('-o json is one job a line', async () => {
    const client = new FakeClient();
    client.jobs = [jobOf(), jobOf(), jobOf({ state: 'done' })];
    const { stdout } = await run(['job', 'watch', ID, '-o', 'json'], { client });
    const states = stdout
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line).state);
    expect(states).toEqual(['pending', 'done']);
  });
});

describe('job verify', () => {
  test('covered is 0', async () => {
    const ran = await run(['job', 'verify', ID]);
    expect(ran).toMatchObject({ exit: 0, stderr: '' });
    expect(ran.stdout).toMatch(/^covered {5}yes\nmissing {5}none\n/);
  });

  test.each([
    ['missing', { covered: false, missing: [[4, 10]] as const }],
    ['failed', { covered: false, failed: [[4, 10]] as const }],
    ['uncertain', { uncertain: [[4, 10]] as const }],
  ])('%s ranges are shown, and 3', async (name, changes) => {
    const client = new FakeClient();
    client.verified = { ...client.verified, ...changes };
    const ran = await run(['job', 'verify', ID], { client });
    expect(ran.exit).toBe(3);
    expect(ran.stdout).toMatch(new RegExp(`^${name} +\\[4, 10\\)$`, 'm'));
    expect(JSON.parse((await run(['job', 'verify', ID, '-o', 'json'], { client })).stdout)).toEqual(client.verified);
  });
});

describe('job verify as a table', () => {
  const again = (start: number, times: number, ...workers: string[]) => ({ start, end: start + 5, times, workers });

  test('says what ran again, how often and by whom, and what may be claimed', async () => {
    const client = new FakeClient();
    const claim = 're-executed at most 20 times in all';
    client.verified = { ...client.verified, reexecuted: [again(0, 2, 'w1'), again(50, 2, 'w1', 'w2')], claim };
    const ran = await run(['job', 'verify', ID], { client });
    expect(ran).toMatchObject({ exit: 0, stderr: '' });
    expect(ran.stdout.split('\n').slice(-3)).toEqual([
      'reexecuted  [0, 5)x2 by w1 [50, 55)x2 by w1,w2',
      'claim       re-executed at most 20 times in all',
      '',
    ]);
  });

  test('counts the ranges that do not fit on a line', async () => {
    const client = new FakeClient();
    client.verified = {
      ...client.verified,
      reexecuted: Array.from({ length: 13 }, (_, at) => again(10 * at, 1, 'w1')),
    };
    const { stdout } = await run(['job', 'verify', ID], { client });
    expect(stdout).toMatch(/^reexecuted {2}\[0, 5\)x1 by w1 .* \[90, 95\)x1 by w1 and 3 more$/m);
  });
});

describe('the other commands', () => {
  test('job list is a table whose columns line up, or JSON', async () => {
    const client = new FakeClient();
    client.jobs = [jobOf({ name: 'a-long-name', progress: { done: 33, failed: 1 } }), jobOf({ state: 'cancelled' })];
    const { stdout } = await run(['job', 'list', '--state', 'running', '--limit', '5'], { client });
    const lines = stdout.trimEnd().split('\n');
    expect(lines[0]).toMatch(/^ID +NAME +RANGE +STATE +PROGRESS +RATE +ETA +CREATED$/);
    expect(lines[1]).toMatch(/a-long-name {3}0\.\.100 {3}pending +34\.0% +- +- +2026-01-01T00:00:00\.000Z$/);
    expect(lines[2]?.indexOf('cancelled')).toBe(lines[0]?.indexOf('STATE'));
    expect(client.calls).toEqual([['list', { state: 'running', limit: 5 }]]);
    expect(JSON.parse((await run(['job', 'list', '-o', 'json'], { client })).stdout)).toEqual({ jobs: client.jobs });
  });

  test('job show tells everything, and text of others cannot move the cursor', async () => {
    const client = new FakeClient();
    client.jobs = [jobOf({ reason: 'evil\u001b[2Jreason', metadata: { a: '\u009b2J' } })];
    const { stdout } = await run(['job', 'show', ID.slice(0, 8)], { client });
    expect(stdout).toContain(`id          ${ID}\n`);
    expect(stdout).toContain('\ncontrols    priority=0 weight=1 tolerate=1000\n');
    expect(stdout).toContain(
      '\noptions     delivery=at-least-once commitEvery=100 commitIntervalMs=200 maxAttempts=3\n',
    );
    expect(stdout.replaceAll('\n', '')).not.toMatch(/\p{Cc}/u);
    expect(client.calls).toEqual([['show', '11111111']]);
  });

  test('job show says why ranges failed, the first few of them', async () => {
    const client = new FakeClient();
    client.jobs = [jobOf({ state: 'failed', progress: { failed: 7 } })];
    client.failed = Array.from({ length: 7 }, (_, start) => ({
      start,
      end: start + 1,
      error: 'no\ndisk',
      attempts: 3,
    }));
    const { stdout } = await run(['job', 'show', ID], { client });
    expect(stdout).toContain('\nerror       [4, 5) after 3 attempts: no disk\nand 2 more failed ranges');
    expect(JSON.parse((await run(['job', 'show', ID, '-o', 'json'], { client })).stdout)).toEqual(client.jobs[0]);
  });

  test.each([
    ['pause', 'paused'],
    ['resume', 'running'],
    ['cancel', 'cancelled'],
  ])('job %s prints id and state', async (action, state) => {
    const client = new FakeClient();
    expect(await run(['job', action, '12'], { client })).toMatchObject({ exit: 0, stdout: `${ID} ${state}\n` });
    // An id of digits alone stays text.
    expect(client.calls).toEqual([[action, '12']]);
  });

  test('cluster status shows how far members trail, and exits 5 without a leader', async () => {
    const client = new FakeClient();
    client.status = {
      ...client.status,
      members: [
        { id: 'n1', address: 'h:1', role: 'leader', matchIndex: 9 },
        { id: 'n2', address: 'h:2', role: 'follower', matchIndex: 4 },
        { id: 'n3', address: 'h:3', role: 'unknown', matchIndex: null },
      ],
      workers: [{ id: 'n1', slots: 4, busy: 2 }],
    };
    const { stdout, exit } = await run(['cluster', 'status'], { client });
    expect(exit).toBe(0);
    expect(stdout).toMatch(/^n2 +h:2 +follower +4 +5$/m);
    expect(stdout).toMatch(/^n3 +h:3 +unknown +- +-$/m);
    expect(stdout).toMatch(/^n1 +4 +2$/m);
    client.status = { ...client.status, leader: null };
    expect((await run(['cluster', 'status'], { client })).exit).toBe(5);
  });
});

describe('job submit at a time, after another job, or again and again', () => {
  const SUBMIT = ['job', 'submit', 'mail', '--start', '0', '--end', '100'];

  test.each([
    ['2026-01-31T09:00Z', '2026-01-31T09:00:00.000Z'],
    ['2026-01-31 09:00:30.5+02:00', '2026-01-31T07:00:30.500Z'],
    ['+10m', '2026-01-01T12:10:00.000Z'],
    ['+1.5h', '2026-01-01T13:30:00.000Z'],
  ])('--at %s is %s', async (text, at) => {
    const client = new FakeClient();
    await run([...SUBMIT, '--at', text], { client });
    expect(client.calls[0]?.[1]).toMatchObject({ options: { at: Date.parse(at) } });
  });

  test.each(['tomorrow', '2026-01-31', '2026-13-01T00:00Z', '+10', '10m', '1767225600000'])(
    '--at %s is a usage error, and nothing is sent',
    async (text) => {
      const client = new FakeClient();
      const ran = await run([...SUBMIT, '--at', text], { client });
      expect(ran).toMatchObject({ exit: 2, stdout: '', stderr: expect.stringContaining('polaris: USAGE: --at ') });
      expect(client.calls).toEqual([]);
    },
  );

  test('--after finds the whole id of a job that is named by its first letters', async () => {
    const client = new FakeClient();
    await run([...SUBMIT, '--after', '1111', '--delivery', 'at-most-once'], { client });
    expect(client.calls).toEqual([
      ['show', '1111'],
      ['submit', expect.objectContaining({ options: { after: ID, delivery: 'at-most-once' } })],
    ]);
  });

  test('--every with --key puts a schedule, and prints its key', async () => {
    const client = new FakeClient();
    const argv = [...SUBMIT, '--every', '0 3 * * *', '--key', 'nightly', '--time-zone', 'Europe/Berlin'];
    expect(await run([...argv, '--option', 'weight=5'], { client })).toMatchObject({ exit: 0, stdout: 'nightly\n' });
    const job = { name: 'mail', start: 0, end: 100, metadata: {}, options: { weight: 5 } };
    const schedule = { cron: '0 3 * * *', timeZone: 'Europe/Berlin', job };
    expect(client.calls).toEqual([['putSchedule', 'nightly', schedule]]);
  });

  test.each([
    ['--every without --key', ['--every', '0 3 * * *'], '--key NAME'],
    ['--key without --every', ['--key', 'nightly'], '--every CRON'],
    ['--time-zone without --every', ['--time-zone', 'UTC'], '--every CRON'],
    ['--every with --wait', ['--every', '@daily', '--key', 'k', '--wait'], '--wait is for one job'],
    ['--every with --at', ['--every', '@daily', '--key', 'k', '--at', '+1m'], '--at is for one job'],
    ['--every with --id', ['--every', '@daily', '--key', 'k', '--id', ID], '--id is for one job'],
    ['a delivery twice', ['--delivery', 'at-most-once', '--option', 'delivery=at-least-once'], 'given twice'],
    ['a time twice', ['--at', '+1m', '--option', 'at=5'], 'given twice'],
  ])('%s is a usage error, and nothing is sent', async (_what, more, said) => {
    const client = new FakeClient();
    expect(await run([...SUBMIT, ...more], { client })).toMatchObject({
      ...{ exit: 2, stdout: '' },
      stderr: expect.stringContaining(said),
    });
    expect(client.calls).toEqual([]);
  });
});

describe('control', () => {
  test('job set passes on what reads as JSON as such, and prints what is in force', async () => {
    const client = new FakeClient();
    const ran = await run(['job', 'set', '12', 'pointsPerSecond=null', 'tolerate=5%', 'priority=-3'], { client });
    expect(ran).toMatchObject({ exit: 0, stdout: `${ID} priority=0 weight=1 tolerate=1000\n` });
    expect(client.calls).toEqual([['set', '12', { pointsPerSecond: null, tolerate: '5%', priority: -3 }]]);
  });

  test.each([[['job', 'set', ID]], [['job', 'set', ID, 'weight']], [['job', 'set', ID, 'weight=1', 'weight=2']]])(
    '%j is a usage error, and nothing is sent',
    async (argv) => {
      const client = new FakeClient();
      expect(await run(argv, { client })).toMatchObject({ exit: 2, stdout: '' });
      expect(client.calls).toEqual([]);
    },
  );

  test('job show tells of times and hooks as one writes them', async () => {
    const client = new FakeClient();
    const throttle = { kind: 'url', url: 'http://h/ok', intervalMs: 5_000 } as const;
    client.jobs = [jobOf({ options: { ...jobOf().options, at: Date.parse('2026-02-01T00:00:00Z'), throttle } })];
    const { stdout } = await run(['job', 'show', ID], { client });
    expect(stdout).toContain('at=2026-02-01T00:00:00.000Z');
    expect(stdout).toContain('throttle={"kind":"url","url":"http://h/ok","intervalMs":5000}');
  });

  test('job retry passes on range and uncertain', async () => {
    const client = new FakeClient();
    await run(['job', 'retry', '12', '--range', '-5:17', '--uncertain'], { client });
    expect(client.calls).toEqual([['retry', '12', { range: [-5, 17], uncertain: true }]]);
    expect(await run(['job', 'retry', '12', '--range', '17:5'], { client })).toMatchObject({ exit: 2 });
  });

  test('job failures is a table, JSON or CSV', async () => {
    const client = new FakeClient();
    const at = '2026-01-01T00:00:00.000Z';
    client.wrong = {
      failed: [{ start: 4, end: 5, error: 'no, disk', attempts: 3, worker: 'w1', at }],
      uncertain: [{ start: 7, end: 9, epoch: 812, worker: 'w2', at }],
    };
    const { stdout } = await run(['job', 'failures', ID], { client });
    expect(stdout).toMatch(/^failed +4\.\.5 +3 +w1 +2026-01-01T00:00:00\.000Z +no, disk$/m);
    const csv = (await run(['job', 'failures', ID, '-o', 'csv'], { client })).stdout;
    expect(csv.split('\r\n').slice(1)).toEqual([
      `failed,4,5,3,w1,,${at},"no, disk"`,
      `uncertain,7,9,,w2,812,${at},`,
      '',
    ]);
    expect(JSON.parse((await run(['job', 'failures', ID, '-o', 'json'], { client })).stdout)).toEqual(client.wrong);
  });

  test('worker list shows what each holds and offers, and who rests', async () => {
    const client = new FakeClient();
    client.crew = [workerOf(), workerOf({ id: 'w2', draining: true }), workerOf({ id: 'w3', draining: true, busy: 0 })];
    const { stdout } = await run(['worker', 'list'], { client });
    expect(stdout).toMatch(/^w1 +127\.0\.0\.1:1 +4 +3 +working +exec,mail$/m);
    expect(stdout).toMatch(/^w2 .* draining, 3 left +exec,mail$/m);
    expect(stdout).toMatch(/^w3 .* drained +exec,mail$/m);
    expect(JSON.parse((await run(['worker', 'list', '-o', 'json'], { client })).stdout)).toEqual({
      workers: client.crew,
    });
  });

  test('worker drain lets it rest, and --undo ends the rest', async () => {
    const client = new FakeClient();
    expect(await run(['worker', 'drain', 'w1'], { client })).toMatchObject({
      exit: 0,
      stdout: 'w1 draining, 3 left\n',
    });
    expect(await run(['worker', 'drain', 'w1', '--undo'], { client })).toMatchObject({ stdout: 'w1 working\n' });
    expect(client.calls).toEqual([
      ['drainWorker', 'w1', true],
      ['drainWorker', 'w1', false],
    ]);
  });

  test('schedule put, list and rm', async () => {
    const client = new FakeClient();
    const put = ['schedule', 'put', 'nightly', 'exec', '--cron', '@daily', '--start', '0', '--end', '9', '--', 'true'];
    expect(await run(put, { client })).toMatchObject({ exit: 0, stdout: 'nightly 2026-01-02T03:00:00.000Z\n' });
    const { stdout } = await run(['schedule', 'list'], { client });
    expect(stdout).toMatch(/^nightly +0 3 \* \* \* +UTC +mail 0\.\.100 +2026-01-02T03:00:00\.000Z +2 +1{8}-/m);
    expect(await run(['schedule', 'rm', 'nightly'], { client })).toMatchObject({
      exit: 0,
      stdout: 'nightly removed\n',
    });
    const job = { name: 'exec', start: 0, end: 9, metadata: { command: ['true'] }, options: {} };
    expect(client.calls).toEqual([
      ['putSchedule', 'nightly', { cron: '@daily', job }],
      ['schedules'],
      ['dropSchedule', 'nightly'],
    ]);
  });
});

describe('the address of the cluster', () => {
  test('comes from the flag, else the environment, else the file, else the default', async () => {
    const config = file('polaris.json', '{"url":["http://file:1","http://file:2"]}');
    const environment = { POLARIS_URL: 'http://env:1', POLARIS_CONFIG: config };
    const urls = async (argv: readonly string[], given: Record<string, string>) =>
      (await run(['cluster', 'status', ...argv], { environment: given })).urls;
    expect(await urls(['--url', 'http://a:1,http://b:1'], environment)).toEqual(['http://a:1', 'http://b:1']);
    expect(await urls([], environment)).toEqual(['http://env:1']);
    expect(await urls([], { POLARIS_CONFIG: config })).toEqual(['http://file:1', 'http://file:2']);
    expect(await urls(['--config', config], {})).toEqual(['http://file:1', 'http://file:2']);
    expect(await urls([], {})).toEqual(['http://127.0.0.1:7070']);
  });
});

describe('a command line that is wrong', () => {
  test.each([
    [[]],
    [['job']],
    [['job', 'lst']],
    [['nod']],
    [['frobnicate']],
    [['job', 'list', '-o', 'xml']],
    [['job', 'list', '--limit', 'x']],
  ])('%j is exit 2 with a line on stderr', async (argv) => {
    expect(await run(argv)).toMatchObject({ exit: 2, stdout: '', stderr: expect.stringMatching(/^polaris: USAGE: /) });
  });

  test.each([
    [[], 'Which of node, dev, query, chaos, job, schedule, dataset, worker, cluster?'],
    [['job', 'submit'], 'Missing: <name>'],
    [['job', 'verify'], 'Missing: <id>'],
    [['job', 'submit', 'mail', '--start'], '--start needs a value'],
    [['job', 'list', '-o', 'xml'], 'Choices: "table", "json"'],
  ])('%j is told in one line what it lacks', async (argv, what) => {
    const [line = '', hint, ...rest] = (await run(argv)).stderr.trimEnd().split('\n');
    expect(line).toContain(what);
    expect([hint, rest]).toEqual(['  The command line is wrong; see --help.', []]);
  });

  test('a detail that others wrote cannot move the cursor', async () => {
    const client = new FakeClient();
    client.failure = new PolarisError('BAD_METADATA', 'evil\u001b[2J');
    expect((await run(['job', 'show', ID], { client })).stderr).toMatch(/^polaris: BAD_METADATA: evil \[2J\n/);
  });

  test('a misspelt command is guessed', async () => {
    expect((await run(['job', 'verfy', ID])).stderr).toContain('Did you mean verify?');
  });

  test('help and version are data on stdout', async () => {
    const help = await run(['job', 'submit', '--help']);
    expect(help).toMatchObject({ exit: 0, stderr: '' });
    expect(help.stdout).toContain('POLARIS_URL');
    expect((await run(['--version'])).stdout).toMatch(/^\d+\.\d+\.\d+\n$/);
  });
});

describe('node', () => {
  test('an address beyond loopback without --insecure is exit 4', async () => {
    const ran = await run(['node', '--listen', '0.0.0.0:7070']);
    expect(ran).toMatchObject({ exit: 4, stdout: '' });
    expect(ran.stderr).toContain('polaris: NOT_LOOPBACK: 0.0.0.0:7070');
  });

  test('an unknown key of the config file is exit 2 and named', async () => {
    const ran = await run(['node', '--config', file('c.json', '{"lisen":"127.0.0.1:1"}')]);
    expect(ran).toMatchObject({ exit: 2, stderr: expect.stringContaining('unknown key "lisen"') });
  });
});
