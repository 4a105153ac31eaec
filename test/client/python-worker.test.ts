/** The workers in Python of the guide, as they stand there: of points alone, and with rows to read and rows to leave. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { afterEach, beforeEach, expect, test } from 'vitest';
import type { RunnerReport } from '../../src/daemon/runner-api.ts';
import { readArrowFile } from '../../src/data/arrow-file.ts';
import type { DatasetJson } from '../../src/http/datasets.ts';
import { Office } from '../daemon/office.ts';
import { DataCluster } from '../data/depot/cluster.ts';
import { pythonRefusal, pythonWorkers } from '../support/python-worker.ts';

const TTL = 10_000;
const TURN_MS = 5;
const LINES_MAX = 40;
const LINE_WIDTH_MAX = 112;
const refusal = pythonRefusal();
const why = refusal === null ? '' : ` (${refusal})`;
if (refusal !== null) process.stdout.write(`    skipped: ${refusal}\n`);
const WORDS = ['one', 'two', 'three', 'four', 'five', 'six', 'seven', 'eight', 'nine', 'ten'];

let office: Office;
let cluster: DataCluster;
let turns: NodeJS.Timeout;
let directory: string;
let python: ChildProcess | null;

beforeEach(async () => {
  office = new Office(TTL);
  office.lead();
  cluster = await DataCluster.open(3, null, { pen: office.pen });
  cluster.node(0).answerRunner = (question, done) => office.leader.runners.ask(question, done);
  turns = setInterval(() => {
    office.pass(TURN_MS);
    office.run();
  }, TURN_MS);
  directory = mkdtempSync(join(tmpdir(), 'polaris-python-'));
  python = null;
});

afterEach(async () => {
  if (python !== null && python.exitCode === null) {
    const ended = once(python, 'exit');
    python.kill('SIGKILL');
    await ended;
  }
  clearInterval(turns);
  office.leader.close();
  await cluster.close();
  rmSync(directory, { recursive: true });
});

/** Runs a program of the guide; gives the lines that it prints. */
function start(text: string): string[] {
  writeFileSync(join(directory, 'worker.py'), text);
  const urls = cluster.nodes.map(({ address }) => `http://${address}`).join(',');
  const child = spawn('python3', [join(directory, 'worker.py'), urls, 'py'], { stdio: ['ignore', 'pipe', 'inherit'] });
  python = child;
  const lines: string[] = [];
  createInterface({ input: child.stdout }).on('line', (line) => lines.push(line));
  return lines;
}

function submit(changes: object): void {
  const metadata = JSON.stringify({ sink: join(directory, 'out') });
  office.submit({ name: 'shout', end: WORDS.length, metadata, options: { commitEvery: 3, taskSize: 5 }, ...changes });
}

/** Rows of the outputs of all reports, in the order of their points, each output once. */
async function made(): Promise<unknown[]> {
  const reports = cluster.node(0).questions.filter((question): question is RunnerReport => question.kind === 'report');
  const outputs = new Map(reports.flatMap((report) => report.outputs).map((output) => [output.start, output]));
  const rows: unknown[] = [];
  for (const { handle } of [...outputs.values()].sort((left, right) => left.start - right.start)) {
    const blob = await cluster.node(2).depot.open(handle.hash);
    const file = await readArrowFile((from, to) => blob.read({ start: from, end: to }), blob.bytes);
    for await (const batch of file.batches())
      rows.push(...batch.toArray().map((row: { toJSON(): unknown }) => row.toJSON()));
  }
  expect(new Set([...outputs.values()].map(({ handle }) => handle.schema)).size).toBe(1);
  return rows;
}

test('the worker has forty lines that fit a page', () => {
  const lines = pythonWorkers().points.trimEnd().split('\n');
  expect(lines.length).toBeLessThanOrEqual(LINES_MAX);
  expect(lines.filter((line) => line.length > LINE_WIDTH_MAX)).toEqual([]);
});

test.skipIf(refusal !== null)(`of points alone works each once, at most once${why}`, async () => {
  const lines = start(pythonWorkers().points);
  submit({ options: { commitEvery: 3, taskSize: 5, delivery: 'at-most-once' } });
  await expect.poll(() => office.pen.job().state, { timeout: 60_000 }).toBe('done');
  expect(office.pen.job()).toMatchObject({ reexecuted: [], uncertain: [] });
  await expect.poll(() => lines.length).toBe(WORDS.length);
  const points = lines.map((line) => Number(line.split(' ')[0]));
  expect(points.sort((left, right) => left - right)).toEqual(WORDS.map((_word, at) => at));
});

test.skipIf(refusal !== null)(`reads the row of each point and leaves what it made of it, once${why}`, async () => {
  start(pythonWorkers().rows);
  const answer = await fetch(`http://${cluster.node(1).address}/v1/datasets/lines`, {
    method: 'PUT',
    body: WORDS.join('\n'),
    headers: { 'content-type': 'text/plain' },
  });
  const { handle } = (await answer.json()) as DatasetJson;
  submit({ input: handle, inputName: 'lines' });
  await expect.poll(() => office.pen.job().state, { timeout: 60_000 }).toBe('done');
  expect(office.pen.job().reexecuted).toEqual([]);
  expect(await made()).toEqual(WORDS.map((word, at) => ({ point: BigInt(at), text: word.toUpperCase() })));
});

test.skipIf(refusal !== null)(`works without an input, and at most once, too${why}`, async () => {
  start(pythonWorkers().rows);
  submit({ options: { commitEvery: 3, taskSize: 5, delivery: 'at-most-once' } });
  await expect.poll(() => office.pen.job().state, { timeout: 60_000 }).toBe('done');
  expect(office.pen.job().uncertain).toEqual([]);
  expect(await made()).toEqual(WORDS.map((_word, at) => ({ point: BigInt(at), text: null })));
});
