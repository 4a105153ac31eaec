/** What the log of a real cluster has of a checkpoint and of an output of more than 64 MiB: some words about them. */
import { Field, Int32, Schema } from 'apache-arrow';
import { expect, test } from 'vitest';
import type { Handle } from '../../src/base/handle.ts';
import { createPrng } from '../../src/base/prng.ts';
import { openRecord } from '../../src/base/record.ts';
import { writeArrowStream } from '../../src/data/arrow-stream.ts';
import { batchOf, dataOf } from '../../src/data/build.ts';
import { decodeCommand } from '../../src/ranges/codec.ts';
import type { Command } from '../../src/ranges/types.ts';
import { openLevelStore } from '../../src/store/level.ts';
import { batchesOf, bytesOfAll } from '../data/arbitrary.ts';
import { ask } from './dataset-clients.ts';
import { JOBS_DIR, openScene, report, voters, worker } from './harness.ts';

const MIB = 1024 ** 2;
/** Of the log, for a checkpoint or an output, however large it is. */
const LOG_BYTES_MAX = 256;

interface Logged {
  readonly kind: string;
  /** Of its record in the log. */
  readonly bytes: number;
  /** Checkpoints and outputs that it names. */
  readonly handles: readonly Handle[];
}

async function commandsOf(dataDir: string): Promise<Logged[]> {
  const { store, contents } = await openLevelStore(dataDir, { prng: createPrng(1) });
  await store.close();
  const records = contents.entries.map(({ record }) => ({ record, payload: openRecord(record).payload }));
  return records
    .filter(({ payload }) => payload.length > 0)
    .map(({ record, payload }) => {
      const command = decodeCommand(payload);
      return { kind: command.kind, bytes: record.length, handles: handlesOf(command) };
    });
}

function handlesOf(command: Command): Handle[] {
  switch (command.kind) {
    case 'checkpoint':
      return [command.checkpoint.handle];
    case 'complete':
      return command.outputs.map(({ handle }) => handle);
    case 'progress':
      return command.cursors.flatMap(({ outputs }) => outputs.map(({ handle }) => handle));
    default:
      return [];
  }
}

test('a checkpoint and an output of more than 64 MiB cost the log at most 256 bytes each', async () => {
  const scene = await openScene([...voters(0), worker('w1', 1)], ['--jobs', JOBS_DIR]);
  const { cluster } = scene;
  // Two batches of one row each: each becomes one of 33 MiB.
  const schema = new Schema([new Field('n', new Int32(), false)]);
  const rows = [1, 2].map((n) => batchOf(schema, [dataOf(new Int32(), [n])]));
  const body = Buffer.from(await bytesOfAll(writeArrowStream(batchesOf(...rows))));
  await cluster.until('the dataset', async () => {
    const headers = { 'content-type': 'application/vnd.apache.arrow.stream' };
    const { status } = await ask(`${cluster.url('n1')}/v1/datasets/rows`, { method: 'PUT', headers, body });
    return status === 200 ? true : null;
  });
  const { id } = await scene.submit({ name: 'growing', input: 'rows', options: { taskSize: 2 } });
  expect((await scene.finished(id)).state).toBe('done');
  const leader = await cluster.leader();
  await cluster.stop();

  const logged = (await commandsOf(cluster.dataDir(leader))).filter(({ handles }) => handles.length > 0);
  report(`entries: ${logged.map(({ kind, bytes }) => `${kind} ${bytes}`).join(', ')}`);
  // Behind either stage, and at the end.
  expect(logged.map(({ kind }) => kind)).toEqual(['checkpoint', 'checkpoint', 'complete']);
  for (const { bytes, handles } of logged) {
    expect(handles).toHaveLength(1);
    expect(handles[0]?.bytes).toBeGreaterThan(64 * MIB);
    expect(bytes).toBeLessThanOrEqual(LOG_BYTES_MAX);
  }
});
