import { expect, test } from 'vitest';
import { THROTTLE_WORD_MAX } from '../../src/base/limits.ts';
import { askHook, type Hold, holdOf } from '../../src/daemon/hook.ts';
import type { ProbeAnswer } from '../../src/daemon/probe.ts';
import type { Throttle } from '../../src/ranges/types.ts';
import { answered, HandProbe } from './fakes.ts';

const command: Throttle = { kind: 'command', command: ['check', '--fast'], intervalMs: 1_000 };
const url: Throttle = { kind: 'url', url: 'http://db/health', intervalMs: 1_000 };
const prometheus: Throttle = {
  kind: 'prometheus',
  url: 'http://prom:9090/',
  query: 'max(lag{db="a b"})',
  holdAbove: 10,
  intervalMs: 1_000,
};

function vector(...values: readonly string[]): ProbeAnswer {
  const result = values.map((value, at) => ({ metric: { n: String(at) }, value: [1_700_000_000, value] }));
  return answered(200, JSON.stringify({ status: 'success', data: { resultType: 'vector', result } }));
}

test('each kind is asked in its own way, and the job is named', () => {
  const probe = new HandProbe();
  const holds: Hold[] = [];
  for (const hook of [command, url, prometheus]) askHook(probe, 'j', hook, (hold) => void holds.push(hold));
  expect(probe.asked.map(({ what }) => what)).toEqual([
    'POLARIS_JOB=j check --fast',
    'GET http://db/health',
    'GET http://prom:9090/api/v1/query?query=max(lag%7Bdb%3D%22a%20b%22%7D)',
  ]);
  expect(probe.asked[1]?.request?.headers).toEqual({ 'polaris-job': 'j' });
  probe.reply(answered(0));
  probe.reply(answered(503));
  probe.reply(vector('3'));
  expect(holds).toEqual([null, 'it answered 503', null]);
});

test('the query endpoint may be named itself', () => {
  const probe = new HandProbe();
  askHook(probe, 'j', { ...prometheus, url: 'http://prom/api/v1/query', query: 'up' }, () => {});
  expect(probe.asked[0]?.what).toBe('GET http://prom/api/v1/query?query=up');
});

test.each<[string, Throttle, ProbeAnswer, Hold]>([
  ['a command that exits with 0', command, answered(0, 'all well'), null],
  ['a command that exits otherwise', command, answered(7), 'the command exited with 7'],
  ['a command that says why', command, answered(1, '\n  lag is 30 s \nmore'), 'the command exited with 1: lag is 30 s'],
  ['a status of success', url, answered(204), null],
  ['a redirection', url, answered(302), 'it answered 302'],
  ['a status of failure', url, answered(429, 'busy'), 'it answered 429: busy'],
  ['nobody there', url, { kind: 'unreachable', why: 'ECONNREFUSED' }, 'it cannot be asked: ECONNREFUSED'],
  ['values up to the bound', prometheus, vector('3', '10'), null],
  ['one value above it', prometheus, vector('3', '10.5', '4'), '10.5 is above 10'],
  ['an infinite value', prometheus, vector('+Inf'), 'Infinity is above 10'],
  ['no value', prometheus, vector(), 'the query has no value'],
  ['a value that is none', prometheus, vector('3', 'NaN', '1'), 'the query has no value: NaN'],
  [
    'an error of Prometheus',
    prometheus,
    answered(400, '{"error":"parse"}'),
    'Prometheus answered 400: {"error":"parse"}',
  ],
  ['another answer', prometheus, answered(200, '<html>'), 'Prometheus gave neither a vector nor a scalar'],
  ['null', prometheus, answered(200, 'null'), 'Prometheus gave neither a vector nor a scalar'],
])('%s', (_what, hook, answer, hold) => {
  expect(holdOf(hook, answer)).toBe(hold);
});

test('a scalar counts like a vector of one', () => {
  const text = (value: string) =>
    JSON.stringify({ status: 'success', data: { resultType: 'scalar', result: [1, value] } });
  expect(holdOf(prometheus, answered(200, text('10')))).toBeNull();
  expect(holdOf(prometheus, answered(200, text('11')))).toBe('11 is above 10');
});

test('a long word is cut off', () => {
  const hold = holdOf(url, answered(500, 'x'.repeat(10_000)));
  expect(hold).toHaveLength(THROTTLE_WORD_MAX);
});
