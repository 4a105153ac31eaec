/**
 * What `append` writes into each sink is read back and counted, from the real servers.
 */
import { chmodSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { countLines, type SinkCount } from '../../chaos/count.ts';
import { SINKS, type SinkKind } from '../../chaos/row.ts';
import { openSink, type Sink, sinkRefusal } from '../../chaos/sinks.ts';
import { Append } from '../../jobs/append/index.ts';
import { must } from '../../src/base/assert.ts';
import { emittedBy } from '../jobs/task-twin.ts';

const LENGTH = 10;
const POINTS = Array.from({ length: LENGTH }, (_, point) => point);
const FENCED: readonly SinkKind[] = ['fenced-redis', 'postgres'];

describe.each(SINKS.map((kind) => ({ kind, refusal: sinkRefusal(kind) })))('$kind', ({ kind, refusal }) => {
  describe.skipIf(refusal !== null)(refusal === null ? 'that is there' : `(${refusal})`, () => {
    const dir = mkdtempSync(join(tmpdir(), 'polaris-chaos-sink-'));
    // PostgreSQL may run as a user of its own, who must get through.
    chmodSync(dir, 0o711);
    let opened: Sink | null = null;

    beforeAll(async () => {
      opened = await openSink(kind, join(dir, kind));
    });

    afterAll(async () => {
      await opened?.close();
      rmSync(dir, { recursive: true, force: true });
    });

    function sink(): Sink {
      return must(opened, 'the sink is open');
    }

    /** A task of `append`, as a worker has it. */
    async function work(name: string, [start, end]: readonly [number, number], job = 'job'): Promise<void> {
      await emittedBy(Append, { start, end, job, metadata: { sink: sink().address(name) } });
    }

    async function counted(name: string): Promise<SinkCount> {
      return countLines(await sink().read(name), { length: LENGTH, startedAt: 0, endedAt: 0 });
    }

    test('of a run that wrote nothing has no line', async () => {
      expect(sink().kind).toBe(kind);
      expect(await sink().read('silent')).toEqual([]);
    });

    test('counts what was written, what is missing, and what was written again', async () => {
      await work('one', [0, 7]);
      await work('one', [8, LENGTH]);
      const clean = { torn: 0, foreign: [], duplicates: [], extraExecutions: 0 };
      expect(await counted('one')).toMatchObject({ ...clean, lines: LENGTH - 1, missing: [7] });
      // Another run under another name is none of this one.
      await work('other', [7, 8], 'other');
      expect((await counted('one')).missing).toEqual([7]);
      await work('one', [0, LENGTH]);
      const again = FENCED.includes(kind) ? [] : POINTS.filter((point) => point !== 7);
      expect(await counted('one')).toMatchObject({ missing: [], duplicates: again, extraExecutions: again.length });
    });

    // Another job has another fence: it lets through what a broken one would.
    if (!FENCED.includes(kind)) return;
    test('counts what a fence that does not hold lets through twice', async () => {
      await work('twice', [0, LENGTH], 'first');
      await work('twice', [3, LENGTH], 'second');
      const duplicates = POINTS.slice(3);
      expect(await counted('twice')).toMatchObject({ missing: [], duplicates, extraExecutions: duplicates.length });
    });
  });
});
