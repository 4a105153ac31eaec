/**
 * Jobs with rows: blobs that are really kept, under a job whose progress is set by the test.
 */
import { tableFromArrays } from 'apache-arrow';
import { must } from '../../src/base/assert.ts';
import type { Handle } from '../../src/base/handle.ts';
import { BLOB_BYTES_MAX } from '../../src/base/limits.ts';
import type { Range } from '../../src/base/types.ts';
import { writeArrowFile } from '../../src/data/arrow-file.ts';
import { schemaHash } from '../../src/data/schema.ts';
import type { JobState, JobView, Output } from '../../src/ranges/types.ts';
import { specOf } from '../ranges/fixtures.ts';
import type { DataCluster } from './depot/cluster.ts';

/** What a test may set of a job. */
export interface Standing {
  state: JobState;
  covered: readonly Range[];
  outputs: readonly Output[];
  result: Handle | null;
}

export class ResultJob {
  readonly id: string;
  readonly #cluster: DataCluster;
  /** Set anew by the test as the job gets on. */
  standing: Standing = { state: 'running', covered: [], outputs: [], result: null };

  constructor(cluster: DataCluster, { end = 100, collects = false }: { end?: number; collects?: boolean } = {}) {
    this.#cluster = cluster;
    const spec = specOf({ end });
    this.id = spec.id;
    cluster.pen.apply({ kind: 'submit-job', spec, stamp: null });
    const { table } = cluster.pen;
    const job = table.job.bind(table);
    table.job = (id) => {
      const found = job(id);
      if (found === undefined || id !== spec.id) return found;
      const set = { ...this.standing, spec: { ...found.spec, collects } };
      // Over nothing: what is said of a job that is frozen could not be said otherwise.
      return new Proxy({} as JobView, { get: (_none, name) => Reflect.get(name in set ? set : found, name) });
    };
  }

  /** A blob of numbers from `first` on, kept by a node. */
  async blob(count: number, first = 0, at = 0): Promise<Handle> {
    const table = tableFromArrays({ n: Int32Array.from({ length: count }, (_, row) => first + row) });
    const file = writeArrowFile(
      (async function* () {
        yield* table.batches;
      })(),
    );
    const { hash } = await this.#cluster.node(at).depot.keep(file, BLOB_BYTES_MAX);
    const { schema, rows, bytes } = file.result();
    return { hash, bytes, rows, schema: schemaHash(schema) };
  }

  /** Points [start, end) are done, and each has emitted its own number; touching ranges become one. */
  async emit(start: number, end: number, at = 0): Promise<Output> {
    const output = { start, end, handle: await this.blob(end - start, start, at) };
    const outputs = [...this.standing.outputs, output].sort((one, other) => one.start - other.start);
    this.standing = { ...this.standing, outputs };
    this.cover(start, end);
    return output;
  }

  /** Points [start, end) are done. */
  cover(start: number, end: number): void {
    const covered: Range[] = [];
    for (const range of [...this.standing.covered, { start, end }].sort((one, other) => one.start - other.start)) {
      const last = covered.at(-1);
      if (last === undefined || last.end < range.start) covered.push(range);
      else covered.splice(-1, 1, { start: last.start, end: must(range.end, 'an end') });
    }
    this.standing = { ...this.standing, covered };
  }

  set(changes: Partial<Standing>): void {
    this.standing = { ...this.standing, ...changes };
  }
}
