/**
 * `polaris chaos` without a cluster: what a report is worth as an exit code, what is written of it, where it says that
 * there is no Redis, and that docs/chaos.md names every flag and every field.
 */
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { afterAll, afterEach, describe, expect, test, vi } from 'vitest';
import type { ChaosReport } from '../../chaos/row.ts';
import { publish, sinkThere } from '../../src/cli/chaos.ts';
import { rowWith } from '../chaos/rows.ts';
import { run } from './fake-io.ts';

const dir = mkdtempSync(join(tmpdir(), 'polaris-chaos-cli-'));
afterAll(() => rmSync(dir, { recursive: true, force: true }));
afterEach(() => vi.unstubAllEnvs());

const KEPT: ChaosReport = { seed: 7, compress: 10, rows: [rowWith(), rowWith({ mode: 'soft' })], skipped: [] };
const LOST = 'nothing is missing: point 4';
const BROKEN: ChaosReport = { ...KEPT, rows: [rowWith(), rowWith({ mode: 'soft', missing: 1, broken: [LOST] })] };

async function published(report: ChaosReport, args: Readonly<Record<string, string>> = {}) {
  const { io, written } = paper();
  const exit = await publish(io, args, report);
  return { exit, ...written };
}

/** What a command writes to. */
function paper() {
  const written = { stdout: '', stderr: '' };
  const io = {
    stdout: { write: (data: string | Uint8Array) => (written.stdout += String(data)) },
    stderr: { write: (data: string | Uint8Array) => (written.stderr += String(data)) },
  };
  return { io, written };
}

describe('a report', () => {
  test('in which every promise was kept is exit code 0, with nothing on stderr', async () => {
    const said = await published(KEPT);
    expect(said).toMatchObject({ exit: 0, stderr: '' });
    expect(said.stdout).toContain('| 1,000 | soft |');
  });

  test('in which one promise of one run was broken is exit code 1, and names it', async () => {
    const said = await published(BROKEN);
    expect(said).toMatchObject({
      exit: 1,
      stderr: `polaris: BROKEN in 1,000 soft at-least-once redis: ${LOST} (--seed 7)\n`,
    });
    expect(said.stdout).toContain('**no**');
  });

  test('is written whole to the files that were asked for, also when a promise was broken', async () => {
    const [json, svg] = [join(dir, 'rows.json'), join(dir, 'chart.svg')];
    expect(await published(BROKEN, { json, svg })).toMatchObject({ exit: 1 });
    expect(JSON.parse(readFileSync(json, 'utf8'))).toEqual(BROKEN);
    expect(readFileSync(svg, 'utf8')).toContain('at-least-once, redis, soft');
  });

  test('for which there is no room is an error that names the file', async () => {
    const json = join(dir, 'nowhere', 'rows.json');
    await expect(published(KEPT, { json })).rejects.toMatchObject({
      code: 'FILE_FAILED',
      detail: expect.stringContaining(json),
    });
  });
});

describe('the sink, where none is named', () => {
  test('is a file where no redis-server is in the PATH, and it is said', async () => {
    vi.stubEnv('PATH', join(dir, 'empty'));
    const { io, written } = paper();
    expect(await sinkThere(io)).toBe('file');
    expect(written.stderr).toBe('The lines go to a file: there is no redis-server in the PATH.\n');
  });

  test('is Redis where there is one, and nothing is said', async () => {
    const bin = join(dir, 'bin');
    mkdirSync(bin);
    writeFileSync(join(bin, 'redis-server'), '', { mode: 0o755 });
    vi.stubEnv('PATH', bin);
    const { io, written } = paper();
    expect(await sinkThere(io)).toBe('redis');
    expect(written.stderr).toBe('');
  });
});

describe('docs/chaos.md', () => {
  const read = (path: string) => readFileSync(resolve(import.meta.dirname ?? '.', '../../docs', path), 'utf8');
  /** Cells of the rows of the table below a heading. */
  const tableBelow = (heading: string): string[][] => {
    const [, section = ''] = read('chaos.md').split(`\n## ${heading}\n`);
    const lines = (section.split('\n## ')[0] ?? '').split('\n').filter((line) => line.startsWith('| `'));
    return lines.map((line) =>
      line
        .split('|')
        .slice(1, -1)
        .map((cell) => cell.trim()),
    );
  };
  const flags = tableBelow('Flags').map(([flag = '', value = '', fallback = '']) => ({ flag, value, fallback }));

  test('has a row for each flag, with its default, and the synopsis names each', async () => {
    const { stdout } = await run(['chaos', '--help']);
    const options = stdout.slice(stdout.indexOf('--workers'), stdout.indexOf('Examples:')).split(/(?<=\]\n) *(?=--)/);
    const expected = options.map((option) => ({
      flag: `\`${/^--[\w-]+/.exec(option)?.[0]}\``,
      fallback: /\[default: ([^\]]*)\]/.exec(option)?.[1] ?? 'none',
    }));
    expect(flags.map(({ flag, fallback }) => ({ flag, fallback }))).toEqual(expected);
    const synopsis = /^polaris chaos .*?crash a cluster/ms.exec(read('reference/cli.md'))?.[0];
    for (const { flag } of expected) expect(synopsis).toContain(`[${flag.replaceAll('`', '')} `);
  });

  test.each(['--workers', '--lengths', '--rate', '--crash-every', '--commit-every', '--compress', '--seed'])(
    'has the bounds of %s',
    async (flag) => {
      const { exit, stderr } = await run(['chaos', flag, 'x']);
      expect(exit).toBe(2);
      const said = /must be (.*), not "x"/.exec(stderr)?.[1];
      expect(flags.find((row) => row.flag === `\`${flag}\``)?.value.split(';')[0]).toBe(said);
    },
  );

  test('has a row for each field of the JSON, and no other', () => {
    const report: ChaosReport = { ...KEPT, skipped: [{ nemesis: 'clock', reason: 'no library' }] };
    const within = (list: 'rows' | 'skipped') => Object.keys(report[list][0] ?? {}).map((key) => `${list}[].${key}`);
    const fields = tableBelow('The JSON').flatMap(([names = '']) => names.split(', '));
    const expected = [...Object.keys(report), ...within('rows'), ...within('skipped')].map((name) => `\`${name}\``);
    expect(fields.sort()).toEqual(expected.sort());
  });
});
