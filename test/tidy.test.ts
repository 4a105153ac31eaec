/**
 * Keeps the house: what a compiler does not see and a reader should not have to look for.
 */
import { readdirSync, readFileSync } from 'node:fs';
import { dirname, join, relative, resolve } from 'node:path';
import { describe, expect, test } from 'vitest';

const ROOT = resolve(import.meta.dirname ?? '.', '..');
/** Lowest first; a file may import from its own layer and from those before it. */
const LAYERS = [
  'base',
  'sinks',
  'raft',
  'ranges',
  'store',
  'wire',
  'daemon',
  'data',
  'jobtype',
  'query',
  'http',
  'client',
  'cli',
] as const;
const PURE = ['raft', 'ranges'];
const FUNCTION_LINES_MAX = 70;
const FILE_LINES_MAX = 600;

interface Source {
  readonly path: string;
  readonly text: string;
  readonly lines: readonly string[];
}

function sources(folder: string): Source[] {
  const found: Source[] = [];
  for (const entry of readdirSync(join(ROOT, folder), { withFileTypes: true })) {
    const path = join(folder, entry.name);
    if (entry.isDirectory()) found.push(...sources(path));
    else if (entry.name.endsWith('.ts')) {
      const text = readFileSync(join(ROOT, path), 'utf8');
      found.push({ path, text, lines: text.split('\n') });
    }
  }
  return found;
}

const product = ['src', 'bin', 'jobs', 'chaos'].flatMap(sources);
/** This file names what it bans, so it does not judge itself. */
const tests = sources('test').filter((source) => source.path !== 'test/tidy.test.ts');
const everything = [...product, ...tests];

/** Lines without comments and strings, so that prose may name what code may not. */
function code(source: Source): string {
  return source.text
    .replace(/\/\*[\s\S]*?\*\//g, (comment) => comment.replace(/[^\n]/g, ' '))
    .replace(/(^|[^:])\/\/.*$/gm, '$1');
}

function imports(source: Source): string[] {
  return [...source.text.matchAll(/(?:from|import)\s*\(?\s*'([^']+)'/g)].map((match) => match[1] ?? '');
}

function layerOf(path: string): number {
  const [top, layer] = path.split('/');
  return top === 'src' ? LAYERS.indexOf(layer as (typeof LAYERS)[number]) : -1;
}

function offenders(from: readonly Source[], pattern: RegExp): string[] {
  return from.flatMap((source) =>
    code(source)
      .split('\n')
      .flatMap((line, at) => (pattern.test(line) ? [`${source.path}:${at + 1}: ${line.trim()}`] : [])),
  );
}

const pure = product.filter((source) => PURE.some((layer) => source.path.startsWith(`src/${layer}/`)));
const daemon = product.filter((source) => source.path.startsWith('src/daemon/') && !source.path.endsWith('/real.ts'));

describe('layers', () => {
  test('no import goes upward', () => {
    const upward = product.flatMap((source) => {
      const own = layerOf(source.path);
      if (own < 0) return [];
      return imports(source)
        .filter((name) => name.startsWith('.'))
        .map((name) => relative(ROOT, resolve(ROOT, dirname(source.path), name)))
        .filter((target) => target.startsWith('src/') && layerOf(target) > own)
        .map((target) => `${source.path} imports ${target}`);
    });
    expect(upward).toEqual([]);
  });

  test('every folder of src is a layer', () => {
    const folders = readdirSync(join(ROOT, 'src'), { withFileTypes: true }).filter((entry) => entry.isDirectory());
    expect(folders.map((entry) => entry.name).sort()).toEqual([...LAYERS].sort());
  });

  test('the pure layers import nothing of Node', () => {
    const found = pure.flatMap((source) =>
      imports(source)
        .filter((name) => name.startsWith('node:'))
        .map((name) => `${source.path}: ${name}`),
    );
    expect(found).toEqual([]);
  });

  test('the pure layers and the daemon read no clock, draw no lots and set no timers', () => {
    const banned =
      /\b(Date\.now|new Date|performance\.now|hrtime|Math\.random|randomUUID|setTimeout|setInterval|setImmediate|queueMicrotask)\b/;
    expect(offenders([...pure, ...daemon], banned)).toEqual([]);
  });

  test('the pure layers know no promises', () => {
    expect(offenders(pure, /\b(async|await|Promise)\b/)).toEqual([]);
  });
});

describe('safety', () => {
  test('nothing is written to LevelDB unsynced', () => {
    // A chained batch gathers without waiting; whatever is waited for goes to the disk.
    const writes = product
      .filter((source) => source.path.startsWith('src/store/'))
      .flatMap((source) => code(source).match(/await [^;]*\.(?:put|del|write|batch)\([^;]*;/g) ?? []);
    expect(writes.length).toBeGreaterThan(0);
    expect(writes.filter((call) => !call.includes('sync: true'))).toEqual([]);
  });

  test('no check is silenced', () => {
    expect(offenders(everything, /@ts-(ignore|nocheck|expect-error)|\bas any\b|: any\b/)).toEqual([]);
    expect(offenders(tests, /\b(test|it|describe)\.(only|todo)\(/)).toEqual([]);
  });

  test('nothing is left over', () => {
    const words = ['TO' + 'DO', 'FIX' + 'ME', 'X' + 'XX', 'HA' + 'CK'];
    const found = everything.flatMap((source) =>
      source.lines.flatMap((line, at) =>
        words.some((word) => new RegExp(`\\b${word}\\b`).test(line)) ? [`${source.path}:${at + 1}`] : [],
      ),
    );
    expect(found).toEqual([]);
  });
});

describe('shape', () => {
  test(`no file has more than ${FILE_LINES_MAX} lines`, () => {
    expect(everything.filter((source) => source.lines.length > FILE_LINES_MAX).map((source) => source.path)).toEqual(
      [],
    );
  });

  test(`no function has more than ${FUNCTION_LINES_MAX} lines`, () => {
    expect(product.flatMap(longFunctions)).toEqual([]);
  });

  test('every file of the product says what it is for', () => {
    const silent = product
      .filter((source) => !/^(#!.*\n)?\/\*\*\n \* \S/.test(source.text))
      .map((source) => source.path);
    expect(silent).toEqual([]);
  });

  test('no default exports and no barrels', () => {
    expect(offenders(product, /export default|export \* from/)).toEqual([]);
  });
});

/** Functions and methods by the indentation of their first and last lines, which the formatter keeps honest. */
function longFunctions(source: Source): string[] {
  const found: string[] = [];
  const opening =
    /^(\s*)(?:export )?(?:async )?(?:static )?(?:function\b.*|[#\w]+\(.*\).*|[#\w]+\($|(?:get|set) \w+\(.*|const \w+ = .*=>) ?.*\{$/;
  source.lines.forEach((line, at) => {
    const match = opening.exec(line);
    if (match === null || /^\s*(if|for|while|switch|return|describe|test)\b/.test(line)) return;
    const end = source.lines.findIndex((later, index) => index > at && later.startsWith(`${match[1]}}`));
    if (end - at + 1 > FUNCTION_LINES_MAX) found.push(`${source.path}:${at + 1}: ${end - at + 1} lines`);
  });
  return found;
}
