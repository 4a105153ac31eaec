/** Nodes that answer queries: those of the datasets' tests, each with a desk of its own. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { must } from '../../src/base/assert.ts';
import type { Logger } from '../../src/base/log.ts';
import { SILENT } from '../../src/base/log.ts';
import { QueryDesk } from '../../src/query/desk.ts';
import type { EngineLimits } from '../../src/query/engine-process.ts';
import { DataCluster, type DataNode } from '../data/depot/cluster.ts';

export const ENGINE_ENTRY = join(import.meta.dirname ?? '.', '../../dist/src/query/engine.js');

export interface QueryClusterOptions {
  readonly limits?: EngineLimits;
  readonly inputBytesMax?: number;
  readonly started?: (pid: number) => void;
  readonly log?: Logger;
}

export class QueryCluster {
  readonly data: DataCluster;
  readonly desks: readonly QueryDesk[];
  readonly #directory: string;

  private constructor(data: DataCluster, desks: readonly QueryDesk[], directory: string) {
    this.data = data;
    this.desks = desks;
    this.#directory = directory;
  }

  static async open(count: number, { log = SILENT, ...options }: QueryClusterOptions = {}): Promise<QueryCluster> {
    const directory = mkdtempSync(join(tmpdir(), 'polaris-query-'));
    const deskOf = ({ depot, spoolDir }: DataNode) =>
      new QueryDesk({ depot, spoolDir, recordsDir: directory, entry: ENGINE_ENTRY, log, ...options });
    const data = await DataCluster.open(count, null, { deskOf });
    const desks = data.nodes.map(({ queries }) => must(queries, 'each node has a desk'));
    return new QueryCluster(data, desks, directory);
  }

  get urls(): readonly string[] {
    return this.data.nodes.map(({ address }) => `http://${address}`);
  }

  node(at: number): DataNode {
    return this.data.node(at);
  }

  async close(): Promise<void> {
    for (const desk of this.desks) await desk.stop();
    await this.data.close();
    rmSync(this.#directory, { recursive: true, force: true });
  }
}
