/**
 * One short run of each mode, with real processes, as a user starts it. Counts and order are judged; times are printed.
 */
import { execFile } from 'node:child_process';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, test, vi } from 'vitest';
import { PROGRAM } from '../../chaos/cluster.ts';
import type { ChaosReport, Row } from '../../chaos/row.ts';
import { rowWith } from './rows.ts';

// Far above what anything takes: a run that hangs is ended, a slow machine fails nothing.
vi.setConfig({ testTimeout: 300_000 });

const SEED = 7;
const dir = mkdtempSync(join(tmpdir(), 'polaris-chaos-test-'));
afterAll(() => rmSync(dir, { recursive: true, force: true }));

interface Ran {
  readonly exit: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** Temporary files of a run go where the test sees them. */
function polaris(args: readonly string[], environment: NodeJS.ProcessEnv = {}): Promise<Ran> {
  const env = { ...process.env, TMPDIR: dir, NO_COLOR: '1', ...environment };
  return new Promise((resolve) => {
    execFile(process.execPath, [PROGRAM, 'chaos', ...args], { env }, (error, stdout, stderr) => {
      resolve({ exit: error === null ? 0 : Number(error.code), stdout, stderr });
    });
  });
}

/** One row of a short compressed run, with every promise kept and nothing left behind; and what was said meanwhile. */
async function kept(
  name: string,
  args: readonly string[],
  environment: NodeJS.ProcessEnv = {},
): Promise<Row & { readonly stderr: string }> {
  const json = join(dir, `${name}.json`);
  const svg = join(dir, `${name}.svg`);
  const short = ['--workers', '2', '--compress', '10', '--rate', '5', '--seed', String(SEED)];
  const ran = await polaris([...short, ...args, '--json', json, '--svg', svg], environment);
  expect(ran, ran.stderr).toMatchObject({ exit: 0 });
  const report = JSON.parse(readFileSync(json, 'utf8')) as ChaosReport;
  expect(report).toEqual({ seed: SEED, compress: 10, rows: [expect.anything()], skipped: [] });
  const [row] = report.rows;
  if (row === undefined) throw new Error('there is no row');
  expect(Object.keys(row).sort()).toEqual(Object.keys(rowWith()).sort());
  expect(ran.stdout).toContain(`| ${row.length} | ${row.mode} | ${row.delivery} |`);
  expect(readFileSync(svg, 'utf8')).toContain(row.mode);
  expect(existsSync(dir) ? readdirSync(dir).filter((entry) => entry.startsWith('polaris-chaos-')) : []).toEqual([]);
  const { kills, missing, duplicates, longestGapMs, regrantMsP99, seconds } = row;
  const times = `longest gap ${longestGapMs} ms, re-grant p99 ${regrantMsP99} ms, ${seconds} s`;
  process.stdout.write(`    ${name}: ${kills} kills, ${missing} missing, ${duplicates} duplicates; ${times}\n`);
  return { ...row, stderr: ran.stderr };
}

describe('a short run', () => {
  test('soft: code that throws between two points costs no point and repeats none', async () => {
    // No redis-server is to be found there: the lines go to a file, and it is said.
    const row = await kept('soft', ['--mode', 'soft', '--lengths', '400'], { PATH: dir });
    expect(row.stderr).toContain('The lines go to a file: there is no redis-server in the PATH.\n');
    expect(row.kills).toBeGreaterThan(0);
    expect(row).toMatchObject({
      sink: 'file',
      missing: 0,
      duplicates: 0,
      extraExecutions: 0,
      uncertain: 0,
      broken: [],
    });
  });

  test('kill: a worker that is killed costs no point and repeats at most one', async () => {
    const row = await kept('kill', ['--mode', 'kill', '--lengths', '300', '--crash-every', '20..40']);
    expect(row.kills).toBeGreaterThan(0);
    expect(row).toMatchObject({ leaderKills: 0, missing: 0, uncertain: 0, broken: [] });
    expect(row.duplicates).toBeLessThanOrEqual(row.kills);
  });

  test('leader: nor does a leader that is killed beside the workers', async () => {
    const row = await kept('leader', ['--mode', 'leader', '--lengths', '300', '--crash-every', '20..40']);
    expect(row.leaderKills).toBeGreaterThan(0);
    expect(row.leaderKills).toBeLessThanOrEqual(row.kills);
    expect(row).toMatchObject({ missing: 0, uncertain: 0, broken: [] });
    expect(row.duplicates).toBeLessThanOrEqual(row.kills);
  });

  test('at most once: nothing is there twice, and what is missing is uncertain', async () => {
    const args = ['--mode', 'kill', '--lengths', '300', '--crash-every', '20..40', '--delivery', 'at-most-once'];
    const row = await kept('at-most-once', args);
    expect(row.kills).toBeGreaterThan(0);
    expect(row).toMatchObject({ duplicates: 0, extraExecutions: 0, broken: [] });
    expect(row.missing).toBeLessThanOrEqual(row.uncertain);
    // A kill ends one lease, and that had claimed one point.
    expect(row.uncertain).toBeLessThanOrEqual(row.kills);
  });
});

describe('the command line', () => {
  test('a delivery that the job type cannot keep is an error, not a run that is left out', async () => {
    const ran = await polaris(['--workers', '1', '--sink', 'file', '--delivery', 'exactly-once', '--lengths', '10']);
    expect(ran).toMatchObject({ exit: 2, stdout: '' });
    expect(ran.stderr).toContain('polaris: BAD_OPTION: ');
  });

  test.each([
    ['--mode', 'hard', 'soft, kill, leader, none'],
    ['--nemesis', 'kill,rain', 'slow-worker'],
    ['--crash-every', '45..15', '15..45'],
    ['--lengths', '0', 'from 1 to'],
    ['--compress', '0', 'above 0'],
    ['--sink', 'paper', 'fenced-redis'],
  ])('%s %s is a usage error that names what there is', async (flag, value, named) => {
    const ran = await polaris([flag, value]);
    expect(ran).toMatchObject({ exit: 2, stdout: '' });
    expect(ran.stderr).toContain('polaris: USAGE: ');
    expect(ran.stderr).toContain(named);
  });
});
