/** Results over HTTP: from any node, in range order, while the job runs and afterwards, and never half of it for the whole. */
import { tableFromIPC } from 'apache-arrow';
import { afterEach, beforeEach, describe, expect, onTestFinished, test } from 'vitest';
import { must } from '../../src/base/assert.ts';
import type { Handle } from '../../src/base/handle.ts';
import { RESULTS_FOLLOWED_MAX } from '../../src/base/result-limits.ts';
import { DataCluster, GRACE_MS } from '../data/depot/cluster.ts';
import { ResultJob } from '../data/results.ts';

let cluster: DataCluster;
let job: ResultJob;
beforeEach(async () => {
  cluster = await DataCluster.open(3);
  job = new ResultJob(cluster);
});
afterEach(() => cluster.close());

const ask = (at: number, query = '', headers: Record<string, string> = {}, id = job.id) =>
  fetch(`http://${cluster.node(at).address}/v1/jobs/${id}/result${query}`, { headers });
const infoOf = async (query = '') => (await ask(1, `/info${query}`)).json();
const numbers = (start: number, end: number) => Array.from({ length: end - start }, (_, at) => start + at);

async function rowsOf(answer: Response): Promise<number[]> {
  expect(answer.status).toBe(200);
  return [...(tableFromIPC(await answer.arrayBuffer()).getChild('n') ?? [])];
}

async function refusalOf(answer: Promise<Response>): Promise<unknown[]> {
  const { status } = await answer;
  return [status, ((await (await answer).json()) as { code: string }).code];
}

describe('the result of a job', () => {
  test('is one table in range order, from every node, whoever kept its parts and in whatever order', async () => {
    await job.emit(60, 100, 2);
    await job.emit(0, 25, 0);
    await job.emit(25, 60, 1);
    job.set({ state: 'done' });
    for (const at of [0, 1, 2]) {
      const answer = await ask(at);
      expect(answer.headers.get('content-type')).toBe('application/vnd.apache.arrow.stream');
      const told = ['job', 'state', 'complete', 'rows', 'ranges'].map((name) => answer.headers.get(`polaris-${name}`));
      expect(told).toEqual([job.id, 'done', 'true', '100', '0:100']);
      expect(await rowsOf(answer)).toEqual(numbers(0, 100));
    }
    expect(await infoOf()).toMatchObject({ complete: true, rows: 100, outputs: 3, ranges: [[0, 100]] });
  });

  test('of which nothing is lost where ids are shortened and another format is asked for', async () => {
    await job.emit(0, 3);
    const csv = await ask(1, '', { accept: 'text/csv' }, job.id.slice(0, 10));
    expect([csv.headers.get('content-type'), await csv.text()]).toEqual(['text/csv', 'n\n0\n1\n2\n']);
    const lines = await ask(2, '', { accept: 'application/x-ndjson' });
    expect(await lines.text()).toBe('{"n":0}\n{"n":1}\n{"n":2}\n');
    expect(await refusalOf(ask(1, '', { accept: 'image/png' }))).toEqual([406, 'NOT_ACCEPTABLE']);
  });

  test('that still runs is what is committed, and says which points that is', async () => {
    await job.emit(40, 50);
    await job.emit(0, 10);
    job.cover(10, 20);
    const answer = await ask(1);
    expect(['complete', 'rows', 'ranges'].map((name) => answer.headers.get(`polaris-${name}`))).toEqual([
      ...['false', '20', '0:20,40:50'],
    ]);
    expect(await rowsOf(answer)).toEqual([...numbers(0, 10), ...numbers(40, 50)]);
  });

  test('in ranges side by side has each row once, for an output belongs where it begins', async () => {
    for (const [start, end] of [
      [0, 30],
      [30, 60],
      [60, 100],
    ] as const)
      await job.emit(start, end);
    const parts = await Promise.all(
      ['0:20', '20:31', '31:70', '70:100'].map(async (range, at) => {
        const answer = await ask(at % 3, `?range=${range}`);
        return answer.status === 404 ? [] : rowsOf(answer);
      }),
    );
    expect(parts.flat()).toEqual(numbers(0, 100));
    const part = await ask(1, '?range=20:31');
    expect(['complete', 'ranges'].map((name) => part.headers.get(`polaris-${name}`))).toEqual(['true', '20:31']);
    await part.arrayBuffer();
    expect(await infoOf('?range=0:20')).toMatchObject({ rows: 30, ranges: [[0, 20]], complete: true });
  });

  test('of no rows is a problem: nobody knows the columns', async () => {
    expect(await refusalOf(ask(1))).toEqual([404, 'NO_RESULT']);
    expect(await infoOf()).toMatchObject({ complete: false, rows: 0, outputs: 0, schema: null, ranges: [] });
    job.cover(0, 100);
    job.set({ state: 'done' });
    expect(await refusalOf(ask(1))).toEqual([404, 'NO_RESULT']);
    expect(await refusalOf(ask(1, '?follow'))).toEqual([404, 'NO_RESULT']);
    expect(await refusalOf(ask(1, '', {}, 'ffffffff'))).toEqual([404, 'JOB_NOT_FOUND']);
  });

  test.each(['?range=5', '?range=5:5', '?range=9:1', '?range=1:99999999999999999', '?follow=yes', '?what=1'])(
    'asked for as %s is refused',
    async (query) => {
      await job.emit(0, 10);
      expect((await ask(0, query)).status).toBe(400);
    },
  );

  test('is what its Master finished with, and nothing before', async () => {
    cluster.pen.table.job = Object.getPrototypeOf(cluster.pen.table).job;
    job = new ResultJob(cluster, { collects: true });
    await job.emit(0, 50);
    expect(await refusalOf(ask(1))).toEqual([404, 'NO_RESULT']);
    job.set({ state: 'done', outputs: [], result: await job.blob(3, 7) });
    for (const query of ['', '?follow']) expect(await rowsOf(await ask(2, query))).toEqual([7, 8, 9]);
    expect(await refusalOf(ask(1, '?range=0:5'))).toEqual([400, 'BAD_REQUEST']);
  });
});

test('a node that is behind waits until it has what was acknowledged, and another is asked when it does not come', async () => {
  await job.emit(0, 100);
  const node = cluster.node(1);
  const read = node.read.bind(node);
  let behind = 3;
  node.read = (consistency, look, done) =>
    read(
      consistency,
      (table) => {
        if (consistency !== 'local' || behind === 0) return look(table);
        behind -= 1;
        return look(new Proxy(table, { get: (seen, name) => (name === 'appliedIndex' ? 0 : Reflect.get(seen, name)) }));
      },
      done,
    );
  expect(await rowsOf(await ask(1))).toHaveLength(100);
  expect(behind).toBe(0);
  behind = Number.POSITIVE_INFINITY;
  expect(await refusalOf(ask(1))).toEqual([503, 'OVERLOADED']);
});

test('what is read out stays on its node, though the job leaves the table meanwhile', async () => {
  const handles: Handle[] = [];
  for (let at = 0; at < 3; at++) handles.push((await job.emit(at * 30, at * 30 + 30)).handle);
  const { depot, keeper } = cluster.node(1);
  for (const { hash } of handles) await depot.pull(hash);
  const open = depot.open.bind(depot);
  let opened = 0;
  // Before the second part is opened, nobody refers to any of them any more.
  depot.open = async (hash) => {
    if (++opened === 2) {
      for (let round = 0; round < 3; round++) {
        cluster.now += GRACE_MS;
        for (const other of cluster.nodes) await other.keeper.round();
      }
      expect(await cluster.holders(hash)).toEqual([1]);
    }
    return open(hash);
  };
  expect(await rowsOf(await ask(1))).toEqual(numbers(0, 90));
  expect(opened).toBe(3);
  await expect.poll(() => depot.isRetained(handles[0]?.hash ?? '')).toBe(false);
  await keeper.round();
  expect(await cluster.holders(handles[0]?.hash ?? '')).toEqual([]);
});

describe('a followed result', () => {
  test('gives rows as they are committed, in range order, and ends with the job', async () => {
    await job.emit(30, 40);
    await job.emit(0, 10);
    const answer = await ask(2, '?follow', { accept: 'application/x-ndjson' });
    expect(answer.headers.get('polaris-complete')).toBeNull();
    const reader = answer.body?.pipeThrough(new TextDecoderStream()).getReader();
    let text = '';
    const until = async (line: string) => {
      while (!text.endsWith(`${line}\n`)) {
        const { done, value } = must(await reader?.read(), 'a body');
        if (done) throw new Error(`it ended before ${line}, after ${text}`);
        text += value;
      }
    };
    await until('{"n":9}');
    await job.emit(10, 30);
    await until('{"n":39}');
    job.cover(40, 95);
    await job.emit(95, 100);
    job.set({ state: 'done' });
    await until('{"n":99}');
    expect((await reader?.read())?.done).toBe(true);
    const seen = text
      .trim()
      .split('\n')
      .map((line) => (JSON.parse(line) as { n: number }).n);
    expect(seen).toEqual([...numbers(0, 40), ...numbers(95, 100)]);
  });

  test('keeps what it is giving, and nothing besides, however long it goes on', async () => {
    const warnings: Error[] = [];
    const warned = (warning: Error) => warnings.push(warning);
    process.on('warning', warned);
    onTestFinished(() => void process.off('warning', warned));
    const { depot } = cluster.node(2);
    const control = new AbortController();
    let last = must((await job.emit(0, 1)).handle.hash, 'a hash');
    const url = `http://${cluster.node(2).address}/v1/jobs/${job.id}/result?follow`;
    const answer = await fetch(url, { headers: { accept: 'application/x-ndjson' }, signal: control.signal });
    const reader = must(answer.body, 'a body').pipeThrough(new TextDecoderStream()).getReader();
    let text = '';
    // More of them than listeners that Node lets pass without a word.
    for (let point = 0; point < 15; point++) {
      while (!text.endsWith(`{"n":${point}}\n`)) text += (await reader.read()).value;
      expect(depot.isRetained(last)).toBe(true);
      const next = (await job.emit(point + 1, point + 2)).handle.hash;
      await expect.poll(() => depot.isRetained(last)).toBe(false);
      last = next;
    }
    await expect.poll(() => depot.isRetained(last)).toBe(true);
    control.abort();
    await expect.poll(() => depot.isRetained(last)).toBe(false);
    expect(warnings).toEqual([]);
  });

  test('waits for its first row', async () => {
    const node = cluster.node(1);
    const read = node.read.bind(node);
    let looks = 0;
    node.read = (consistency, look, done) => {
      looks += 1;
      read(consistency, look, done);
    };
    const answer = ask(1, '?follow=true&range=0:10');
    // One to see whether it is as new as the leader, and more to see whether there is a row.
    await expect.poll(() => looks).toBeGreaterThan(2);
    await job.emit(0, 10);
    // Its range is done, though the job is not.
    expect(await rowsOf(await answer)).toEqual(numbers(0, 10));
  });

  test.each(['failed', 'cancelled'] as const)(
    'of a job that %s breaks off, and is never taken for whole',
    async (state) => {
      await job.emit(0, 10);
      const answer = await ask(1, '?follow');
      expect(answer.status).toBe(200);
      job.set({ state });
      await expect(answer.arrayBuffer()).rejects.toThrow();
    },
  );

  test(`is one of ${RESULTS_FOLLOWED_MAX} on a node, and who goes away is counted out`, async () => {
    await job.emit(0, 10);
    const controls = Array.from({ length: RESULTS_FOLLOWED_MAX }, () => new AbortController());
    const url = `http://${cluster.node(1).address}/v1/jobs/${job.id}/result?follow`;
    const answers = await Promise.all(controls.map(({ signal }) => fetch(url, { signal })));
    expect(answers.map(({ status }) => status)).toEqual(answers.map(() => 200));
    expect(await refusalOf(ask(1, '?follow'))).toEqual([503, 'OVERLOADED']);
    for (const control of controls) control.abort();
    job.set({ state: 'cancelled' });
    await expect.poll(async () => (await ask(1, '?follow')).status).toBe(200);
  });
});
