/**
 * The batches of the SDK's runner: rows of its task, and what it makes of them, before a real leader whose clock goes with
 * the test's, and three nodes that keep blobs.
 */
import { tableFromArrays, tableToIPC } from 'apache-arrow';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { RUNNER_EMIT_BYTES_MAX, RUNNER_SEAL_BYTES } from '../../src/base/result-limits.ts';
import { runner } from '../../src/client/runner.ts';
import type { Work } from '../../src/client/runner-attempt.ts';
import type { RunnerReport } from '../../src/daemon/runner-api.ts';
import { readArrowFile } from '../../src/data/arrow-file.ts';
import type { DatasetJson } from '../../src/http/datasets.ts';
import { pipeline } from '../../src/jobtype/pipeline.ts';
import { Office } from '../daemon/office.ts';
import { DataCluster } from '../data/depot/cluster.ts';
import { MAIL } from '../ranges/fixtures.ts';

const TTL = 10_000;
const TURN_MS = 5;

let office: Office;
let cluster: DataCluster;
let turns: NodeJS.Timeout;

beforeEach(async () => {
  office = new Office(TTL);
  office.lead();
  cluster = await DataCluster.open(3, null, { pen: office.pen });
  cluster.node(0).answerRunner = (question, done) => office.leader.runners.ask(question, done);
  turns = setInterval(() => {
    office.pass(TURN_MS);
    office.run();
  }, TURN_MS);
});

afterEach(async () => {
  clearInterval(turns);
  office.leader.close();
  await cluster.close();
});

const base = () => ({ urls: cluster.nodes.map(({ address }) => `http://${address}`), worker: 'sdk', log: () => {} });
const one = (n: number) => tableFromArrays({ n: Int32Array.of(n) });

/** A job over rows of numbers, ten times their place. */
async function submitRows(rows: number, options: object): Promise<void> {
  const table = tableFromArrays({ n: Int32Array.from({ length: rows }, (_, at) => at * 10) });
  const answer = await fetch(`http://${cluster.node(1).address}/v1/datasets/numbers`, {
    method: 'PUT',
    body: new Uint8Array(tableToIPC(table, 'stream')),
    headers: { 'content-type': 'application/vnd.apache.arrow.stream' },
  });
  const { handle } = (await answer.json()) as DatasetJson;
  office.submit({ end: rows, input: handle, inputName: 'numbers', options: { ...options } });
}

/** Ends the runner when the job is finished. */
function untilFinished(): AbortSignal {
  const control = new AbortController();
  const look = setInterval(() => {
    if (office.pen.job().finishedAt === null) return;
    clearInterval(look);
    control.abort();
  }, TURN_MS);
  return control.signal;
}

/** Rows of the outputs of all reports, each output once, by the points that they stand for. */
async function handedIn(): Promise<{ start: number; end: number; rows: number[] }[]> {
  const reports = cluster.node(0).questions.filter((question): question is RunnerReport => question.kind === 'report');
  const outputs = new Map(reports.flatMap((report) => report.outputs).map((output) => [output.start, output]));
  const sorted = [...outputs.values()].sort((left, right) => left.start - right.start);
  return Promise.all(
    sorted.map(async ({ start, end, handle }) => {
      const blob = await cluster.node(2).depot.open(handle.hash);
      const file = await readArrowFile((from, to) => blob.read({ start: from, end: to }), blob.bytes);
      const rows: number[] = [];
      for await (const batch of file.batches()) rows.push(...(batch.getChild('n') ?? []));
      return { start, end, rows };
    }),
  );
}

test('gives each point its row, and what points made goes with the report that passes them, once', async () => {
  await submitRows(100, { taskSize: 30, commitEvery: 7 });
  const work: Work = async (task) => {
    for await (const { point, row } of task.rows()) {
      expect(row.toJSON()).toEqual({ n: point * 10 });
      if (point % 2 === 0) await task.emit(one(point));
    }
  };
  expect(await runner({ ...base(), types: { [MAIL]: work }, slots: 2, signal: untilFinished() })).toBe(4);
  expect(office.pen.job()).toMatchObject({ state: 'done', reexecuted: [] });
  const outputs = await handedIn();
  expect(outputs.flatMap(({ rows }) => rows)).toEqual(Array.from({ length: 50 }, (_, at) => at * 2));
  for (const { start, end, rows } of outputs) {
    for (const row of rows) expect(row >= start && row < end).toBe(true);
  }
});

test('a report names no output of points that it does not pass', async () => {
  office.submit({ end: 60, options: { taskSize: 60, commitEvery: 5 } });
  const work: Work = async (task) => {
    for await (const { start, end } of task.chunks(3))
      await task.emit(tableFromArrays({ n: Int32Array.of(start, end) }));
  };
  await runner({ ...base(), types: { [MAIL]: work }, maxTasks: 1 });
  for (const question of cluster.node(0).questions) {
    if (question.kind !== 'report') continue;
    for (const { end } of question.outputs) expect(end).toBeLessThanOrEqual(question.cursor);
  }
  expect((await handedIn()).flatMap(({ rows }) => rows)).toHaveLength(40);
});

test('a point that throws leaves nothing of it, and those before it leave all', async () => {
  office.submit({ end: 10, options: { taskSize: 10, maxAttempts: 1 } });
  const work: Work = async (task) => {
    for await (const point of task.points()) {
      await task.emit(one(point));
      if (point === 4) throw new Error('boom at 4');
    }
  };
  await runner({ ...base(), types: { [MAIL]: work }, signal: untilFinished() });
  expect(office.pen.job()).toMatchObject({ state: 'failed', failed: [{ start: 4, end: 5 }] });
  expect((await handedIn()).flatMap(({ rows }) => rows)).toEqual([0, 1, 2, 3, 5, 6, 7, 8, 9]);
});

test('goes on under a new leader, and what it made is handed in again', async () => {
  office.submit({ end: 40, options: { taskSize: 40, commitEvery: 4 } });
  const work: Work = async (task) => {
    for await (const point of task.points()) {
      await task.emit(one(point));
      if (point % 10 === 5) office.lead();
    }
  };
  expect(await runner({ ...base(), types: { [MAIL]: work }, maxTasks: 1 })).toBe(1);
  expect(office.pen.job()).toMatchObject({ state: 'done', reexecuted: [] });
  expect((await handedIn()).flatMap(({ rows }) => rows)).toEqual(Array.from({ length: 40 }, (_, at) => at));
});

test('a reading that breaks off goes on behind the last row that came', async () => {
  await submitRows(30_000, { taskSize: 30_000, commitEvery: 30_000 });
  const asked: string[] = [];
  for (const node of cluster.nodes) {
    node.app?.server.on('request', (request, response) => {
      const { url = '' } = request;
      if (!url.includes('/input')) return;
      asked.push(new URL(url, 'http://node').searchParams.get('from') ?? '');
      if (asked.length > 1) return;
      const write = response.write.bind(response);
      let chunks = 0;
      response.write = (...chunk: unknown[]) => {
        if (++chunks > 2) response.destroy();
        return Reflect.apply(write, response, chunk);
      };
    });
  }
  let rows = 0;
  const work: Work = async (task) => {
    for await (const batch of task.input()) {
      expect(batch.getChild('n')?.get(0)).toBe(rows * 10);
      rows += batch.numRows;
    }
    for await (const _ of task.chunks(30_000));
  };
  expect(await runner({ ...base(), types: { [MAIL]: work }, maxTasks: 1 })).toBe(1);
  expect(rows).toBe(30_000);
  expect(asked.length).toBeGreaterThan(1);
  expect(Number(asked[1])).toBeGreaterThan(0);
});

test('holds no more than it may: what is ready is sent before more is taken, and one point has a limit', async () => {
  office.submit({ end: 40, options: { taskSize: 40, commitEvery: 40, commitIntervalMs: 60_000 } });
  const large = tableFromArrays({ n: new Int32Array(RUNNER_SEAL_BYTES / 16) });
  const codes: unknown[] = [];
  const work: Work = async (task) => {
    for await (const point of task.points()) {
      if (point < 12) await task.emit(large);
      if (point !== 39) continue;
      const pieces = RUNNER_EMIT_BYTES_MAX / (RUNNER_SEAL_BYTES / 4);
      for (let piece = 0; piece < pieces; piece++) await task.emit(large);
      await task.emit(one(1)).catch((thrown) => codes.push(thrown.code));
      await task.emit(large.slice(0, 0));
      throw new Error('enough');
    }
  };
  await runner({ ...base(), types: { [MAIL]: work }, maxTasks: 1 });
  expect(codes).toEqual(['BLOB_TOO_LARGE']);
  // The commit interval is a minute: only what was full can have been sent before the end.
  expect((await handedIn()).length).toBeGreaterThan(1);
});

test('says clearly what it cannot give', async () => {
  office.submit({ end: 1 });
  const said: string[] = [];
  const Staged = pipeline('staged').stage('same', (batch) => batch);
  const work: Work = async (task) => {
    const attempts = [() => task.input(), () => task.emit(one(1)), () => task.rows(), () => new Staged().work(task)];
    for (const attempt of attempts) {
      try {
        await attempt();
      } catch (thrown) {
        said.push((thrown as Error).message);
      }
    }
    for await (const _ of task.points()) {
      await task.emit(one(1));
      await task.emit(tableFromArrays({ other: [1] })).catch((thrown: Error) => said.push(thrown.message));
      await task.emit(one(2));
    }
  };
  await runner({ ...base(), types: { [MAIL]: work }, maxTasks: 1 });
  expect(said).toEqual([
    expect.stringContaining('has no input'),
    expect.stringContaining('belongs to a point'),
    expect.stringContaining('has no input'),
    'BAD_OPTION: a runner makes no checkpoints: run pipelines on nodes',
    expect.stringContaining('same columns'),
  ]);
});
