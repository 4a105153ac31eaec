import { cpSync, mkdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { hashFolder } from '../../src/jobtype/hash.ts';
import { loadTypes } from '../../src/jobtype/loader.ts';
import { makeDataDir } from './harness.ts';
import { BUNDLED_DIR, DESCRIBER_ENTRY, TYPES_DIR } from './paths.ts';

let directory: string;

beforeEach(() => {
  directory = makeDataDir();
  writeFileSync(join(directory, 'package.json'), '{"type":"module"}');
});

afterEach(() => rmSync(directory, { recursive: true, force: true }));

function write(name: string, source: string): string {
  const folder = join(directory, name);
  mkdirSync(folder, { recursive: true });
  writeFileSync(join(folder, 'index.js'), source);
  return folder;
}

function load(userDir: string | null = directory) {
  return loadTypes({ bundledDir: BUNDLED_DIR, userDir, describerEntry: DESCRIBER_ENTRY });
}

describe('a directory of job types', () => {
  it('without one there are the bundled types, in name order', async () => {
    const types = await load(null);
    expect([...types.keys()]).toEqual(['append', 'csv-clean', 'exec', 'hash-files', 'trades', 'wordcount']);
    expect(types.get('append')?.info).toMatchObject({ name: 'append', exposure: 'window' });
    expect(types.get('exec')).toMatchObject({ kind: 'program', info: { exposure: 'task' } });
    expect(types.get('exec')?.info.metadataSchema).toMatchObject({ required: ['command'] });
  });

  it('a class with a work method is a job type, with its schema', async () => {
    write('mail', 'export class Mail { static metadata = { type: "object" }; async work() {} }');
    write('bare', 'export class Bare { async work() {} } export const other = 1;');
    const types = await load();
    expect([...types.keys()]).toEqual([
      'append',
      'bare',
      'csv-clean',
      'exec',
      'hash-files',
      'mail',
      'trades',
      'wordcount',
    ]);
    expect(types.get('mail')?.info.metadataSchema).toEqual({ type: 'object' });
    expect(types.get('bare')?.info.metadataSchema).toBeNull();
  });

  it('a type says which deliveries it keeps, and which only with some metadata', async () => {
    const schema = { required: ['sink'] };
    write(
      'fenced',
      `export class T { static deliveriesWhen = { 'exactly-once': ${JSON.stringify(schema)} }; async work() {} }`,
    );
    write('keeper', "export class T { static deliveries = ['exactly-once']; async work() {} }");
    const types = await load();
    expect(types.get('fenced')?.info).toMatchObject({
      deliveries: ['at-least-once', 'at-most-once'],
      deliveriesWhen: { 'exactly-once': schema },
    });
    expect(types.get('keeper')?.info).toMatchObject({ deliveries: ['exactly-once'], deliveriesWhen: {} });
  });

  it('a type says whether its Master plans, and how it collects', async () => {
    const work = 'export class T { async work() {} plan() {} }';
    const collects = 'collect() {} state() {} restore() {}';
    write('alone', work);
    write('plans', `${work} export class M { plan() {} }`);
    write('sums', `${work} export class M { ${collects} }`);
    write('lists', `${work} export class M { ordered = true; ${collects} }`);
    const types = await load();
    const saidOf = (name: string) => {
      const { overseen, plans, collects } = types.get(name)?.info ?? {};
      return { overseen, plans, collects };
    };
    expect(saidOf('alone')).toEqual({ overseen: false, plans: false, collects: null });
    expect(saidOf('plans')).toEqual({ overseen: true, plans: true, collects: null });
    expect(saidOf('sums')).toEqual({ overseen: true, plans: false, collects: 'as-committed' });
    expect(saidOf('lists')).toEqual({ overseen: true, plans: false, collects: 'in-order' });
  });

  it('a link to a folder counts, and folders without index.js and dot folders do not', async () => {
    symlinkSync(join(TYPES_DIR, 'count'), join(directory, 'linked'));
    mkdirSync(join(directory, 'helpers'));
    write('.git', 'export class Git { async work() {} }');
    expect([...(await load()).keys()]).toEqual([
      'append',
      'csv-clean',
      'exec',
      'hash-files',
      'linked',
      'trades',
      'wordcount',
    ]);
  });

  it.each([
    ['nothing', 'export const nothing = 1;', 'exports 0 classes with a work() method'],
    ['two', 'export class A { work() {} } export class B { work() {} }', 'exports 2 classes'],
    ['throws', 'throw new Error("no database");', 'no database'],
    ['syntax', 'export class {', 'Unexpected token'],
    ['exits', 'process.exit(4);', 'loading it ended its process (exit 4)'],
    ['killed', 'process.kill(process.pid, "SIGKILL");', 'loading it ended its process (SIGKILL)'],
    ['kept', 'export class T { static deliveriesWhen = { "at-most-once": {} }; work() {} }', 'not "at-most-once"'],
    ['vague', 'export class T { static deliveriesWhen = { "exactly-once": 1 }; work() {} }', 'must be a JSON Schema'],
    ['listed', 'export class T { static deliveriesWhen = []; work() {} }', 'an object of JSON Schemas'],
    ['schema', 'export class A { static metadata = 7; work() {} }', 'static metadata must be a JSON Schema object'],
    ['folds', 'export class T { work() {} } export class M { collect() {} }', 'lacks state() and restore()'],
    ['forgets', 'export class T { work() {} } export class M { collect() {} state() {} }', 'and lacks restore()'],
    ['ends', 'export class T { work() {} } export class M { onProgress() {} finish() {} }', 'lacks collect()'],
    ['bad name', 'export class A { work() {} }', 'a name is 1 to 64 of'],
  ])('%s: the error names the folder and the reason', async (name, source, reason) => {
    const folder = write(name, source);
    await expect(load()).rejects.toMatchObject({
      code: 'USAGE',
      detail: expect.stringContaining(`job type ${folder}: `),
    });
    await expect(load()).rejects.toMatchObject({ detail: expect.stringContaining(reason) });
  });

  it('the name of a bundled type is taken', async () => {
    write('exec', 'export class Exec { async work() {} }');
    await expect(load()).rejects.toMatchObject({ code: 'USAGE', detail: expect.stringContaining('bundled') });
  });

  it('a directory that is not there is an error', async () => {
    await expect(load(join(directory, 'none'))).rejects.toMatchObject({ code: 'USAGE' });
  });

  it('no code of a user type runs in this process', async () => {
    write('marks', 'globalThis.marked = true; export class Marks { async work() {} }');
    expect((await load()).has('marks')).toBe(true);
    expect('marked' in globalThis).toBe(false);
  });
});

describe('the content hash', () => {
  it('is the same for the same files elsewhere, and another for any change', async () => {
    const folder = write('a', 'export class A { work() {} }');
    mkdirSync(join(folder, 'lib'));
    writeFileSync(join(folder, 'lib', 'x.js'), '1');
    cpSync(folder, join(directory, 'b'), { recursive: true });
    const before = await hashFolder(folder);
    expect(before).toMatch(/^[0-9a-f]{64}$/);
    expect(await hashFolder(join(directory, 'b'))).toBe(before);
    writeFileSync(join(folder, 'lib', 'x.js'), '2');
    expect(await hashFolder(folder)).not.toBe(before);
    cpSync(join(directory, 'b', 'lib', 'x.js'), join(directory, 'b', 'lib', 'y.js'));
    expect(await hashFolder(join(directory, 'b'))).not.toBe(before);
  });
});
