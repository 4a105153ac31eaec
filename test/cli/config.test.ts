/**
 * Settings: one table, four sources, and a node that never starts on half an understanding.
 */
import { describe, expect, test } from 'vitest';
import {
  environmentName,
  isLoopback,
  nodeProcessConfig,
  resolveSettings,
  SETTING_KEYS,
  SETTINGS,
} from '../../src/base/config.ts';
import type { PolarisError } from '../../src/base/errors.ts';

interface Sources {
  readonly flags?: Record<string, unknown>;
  readonly environment?: Record<string, string>;
  readonly file?: unknown;
}

function settings({ flags = {}, environment = {}, file }: Sources) {
  return resolveSettings({
    ...{ flags, environment },
    file: file === undefined ? null : { path: 'polaris.json', text: JSON.stringify(file) },
  });
}

function config(flags: Record<string, unknown>) {
  return nodeProcessConfig(settings({ flags }), { cores: 4 });
}

function errorOf(work: () => unknown): Pick<PolarisError, 'code' | 'detail'> {
  try {
    work();
  } catch (thrown) {
    return thrown as PolarisError;
  }
  throw new Error('nothing was thrown');
}

describe('sources', () => {
  test('a flag goes over the environment, that over the file', () => {
    const file = { id: 'file', slots: 1, insecure: true, join: ['127.0.0.1:1'] };
    expect(settings({ file })).toEqual(file);
    const environment = { POLARIS_ID: 'env', POLARIS_SLOTS: '2', POLARIS_INSECURE: 'false' };
    expect(settings({ file, environment })).toMatchObject({ id: 'env', slots: 2, insecure: false });
    expect(settings({ file, environment, flags: { id: 'flag', slots: '3' } })).toMatchObject({ id: 'flag', slots: 3 });
  });

  test('an empty variable is as good as none', () => {
    expect(settings({ environment: { POLARIS_ID: '' } })).toEqual({});
  });

  test('every setting has a flag and a variable of its own', () => {
    expect(new Set(SETTING_KEYS.map((key) => SETTINGS[key].flag)).size).toBe(SETTING_KEYS.length);
    expect(environmentName('sessionTtlMs')).toBe('POLARIS_SESSION_TTL_MS');
    expect(environmentName('jobs')).toBe('POLARIS_JOBS');
  });

  test('a key of the file is its flag in camel case', () => {
    for (const key of SETTING_KEYS) {
      expect(SETTINGS[key].flag).toBe(key.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`));
    }
  });

  test.each([
    ['an unknown key', { nope: 1 }, /unknown key "nope"/],
    ['a key of Object.prototype', { toString: 1 }, /unknown key "toString"/],
    ['a list', [], /must hold a JSON object/],
    ['a number for a text', { id: 5 }, /polaris\.json: id must be one text/],
    ['a text for a switch', { insecure: 'yes' }, /insecure must be true or false/],
    ['a fraction for an integer', { slots: 1.5 }, /slots must be an integer/],
    ['a list with a number', { join: [5] }, /join must be a list/],
  ])('a file with %s is refused', (_what, file, detail) => {
    expect(errorOf(() => settings({ file }))).toMatchObject({ code: 'USAGE', detail: expect.stringMatching(detail) });
  });

  test('a file that is no JSON is refused by name', () => {
    const work = () => resolveSettings({ flags: {}, environment: {}, file: { path: 'x.json', text: '{' } });
    expect(errorOf(work)).toMatchObject({ code: 'USAGE', detail: 'x.json is not JSON' });
  });
});

describe('a node', () => {
  test('without flags is a cluster of one on loopback', () => {
    expect(config({})).toEqual({
      ...{ id: 'n1', listen: '127.0.0.1:7070', advertise: null, peers: [], join: [], role: 'voter', promote: true },
      ...{
        dataDir: '.polaris/n1',
        jobsDir: null,
        traceFile: null,
        slots: 4,
        sessionTtlMs: 5_000,
        insecure: false,
        logLevel: 'info',
      },
      ...{ blobs: { kind: 'local' }, replicas: null, cacheMb: 64 },
    });
  });

  test('keeps batches in its own directory, in one for all, or in a bucket', () => {
    expect(config({ blobs: 'dir:/mnt/batches' }).blobs).toEqual({ kind: 'directory', path: '/mnt/batches' });
    expect(config({ blobs: 's3://batches' }).blobs).toEqual({ kind: 's3', bucket: 'batches', prefix: '' });
    expect(config({ blobs: 's3://batches/a/b/' }).blobs).toEqual({ kind: 's3', bucket: 'batches', prefix: 'a/b/' });
    for (const blobs of ['dir:', 's3://', 's3://batches/a', 's3://batches/../x/', 'ftp://x', 'LOCAL']) {
      expect(() => config({ blobs })).toThrow(/--blobs must be/);
    }
    expect(config({ replicas: 3 }).replicas).toBe(3);
    for (const replicas of [0, 65]) expect(() => config({ replicas })).toThrow(/--replicas must be from 1 to 64/);
  });

  test('keeps as much of what lies elsewhere as it is told to', () => {
    expect(config({ cacheMb: '256' }).cacheMb).toBe(256);
    for (const cacheMb of [0, 16_385]) expect(() => config({ cacheMb })).toThrow(/--cache-mb must be from 1 to 16384/);
  });

  test('with --peers is one of the founding voters', () => {
    const { peers, role } = config({ id: 'b', peers: 'a=127.0.0.1:1, b=[::1]:2' });
    expect(role).toBe('voter');
    expect(peers).toEqual([
      { id: 'a', address: '127.0.0.1:1' },
      { id: 'b', address: '[::1]:2' },
    ]);
  });

  test('with --join is a voter of a cluster that others founded, or its worker', () => {
    const join = '127.0.0.1:1,127.0.0.1:2';
    expect(config({ join })).toMatchObject({ role: 'voter', promote: true, peers: [] });
    expect(config({ join, promote: false })).toMatchObject({ promote: false });
    expect(config({ join, role: 'worker' })).toMatchObject({ role: 'worker', peers: [] });
    expect(config({ role: 'worker', id: 'w', peers: 'a=127.0.0.1:1,w=127.0.0.1:2' })).toMatchObject({
      ...{ role: 'worker', peers: [], join: ['127.0.0.1:1'] },
    });
  });

  test.each([
    [{ id: 'a b' }, /no node name/],
    [{ listen: '7070' }, /HOST:PORT/],
    [{ listen: '127.0.0.1:70000' }, /HOST:PORT/],
    [{ listen: 'http://127.0.0.1:1' }, /HOST:PORT/],
    [{ advertise: '127.0.0.1:0' }, /HOST:PORT/],
    [{ peers: '127.0.0.1:1' }, /n1=HOST:PORT/],
    [{ peers: 'n2=127.0.0.1:1' }, /does not name this node/],
    [{ peers: 'n1=127.0.0.1:1,n1=127.0.0.1:2' }, /twice/],
    [{ role: 'learner' }, /--role must be one of/],
    [{ role: 'worker' }, /needs --join/],
    [{ join: '127.0.0.1:1', peers: 'n1=127.0.0.1:2' }, /not both/],
    [{ role: 'worker', join: '127.0.0.1:1', slots: '0' }, /would do nothing/],
    [{ slots: '-1' }, /integer/],
    [{ slots: '4096' }, /from 0 to 1024/],
    [{ 'session-ttl-ms': '5', sessionTtlMs: '5' }, /from 4000 to 600000/],
    [{ logLevel: 'trace' }, /--log-level must be one of/],
  ])('with %j is refused', (flags, detail) => {
    expect(errorOf(() => config(flags))).toMatchObject({ code: 'USAGE', detail: expect.stringMatching(detail) });
  });

  test.each([
    [{ listen: '0.0.0.0:7070' }],
    [{ listen: '10.0.0.1:7070' }],
    [{ advertise: 'db.example:7070' }],
    [{ peers: 'n1=127.0.0.1:1,n2=10.0.0.2:1' }],
    [{ join: '127.0.0.1.example.com:1' }],
    [{ listen: '[::]:7070' }],
  ])('with %j stays down unless --insecure is said', (flags) => {
    expect(errorOf(() => config(flags)).code).toBe('NOT_LOOPBACK');
    expect(config({ ...flags, insecure: true }).insecure).toBe(true);
  });

  test('knows loopback in all its forms', () => {
    for (const address of ['localhost:1', '127.0.0.1:1', '127.8.9.10:1', '[::1]:1'])
      expect(isLoopback(address)).toBe(true);
    for (const address of ['localhost.x:1', '128.0.0.1:1', '[::]:1']) expect(isLoopback(address)).toBe(false);
  });
});
