/** The one screen of docs/guides/datasets.md, run as it stands there. */
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { tableFromArrays } from 'apache-arrow';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { must } from '../../src/base/assert.ts';
import { PolarisClient } from '../../src/client/client.ts';
import { run } from '../cli/fake-io.ts';
import { DataCluster } from '../data/depot/cluster.ts';

const PAGE = readFileSync(resolve(import.meta.dirname ?? '.', '../../docs/guides/datasets.md'), 'utf8');
const blockOf = (language: string): string =>
  must(new RegExp(`\`\`\`${language}\n(.*?)\`\`\``, 's').exec(PAGE)?.[1], `a block of ${language}`);

let cluster: DataCluster;
let urls: readonly string[];
const directory = mkdtempSync(join(tmpdir(), 'polaris-guide-'));
beforeAll(async () => {
  cluster = await DataCluster.open(3);
  urls = cluster.nodes.map(({ address }) => `http://${address}`);
});
afterAll(async () => {
  rmSync(directory, { recursive: true });
  await cluster.close();
});

/** Of this cluster, whatever address the guide names. */
class GuideClient extends PolarisClient {
  constructor() {
    super({ urls });
  }
}

test('its program says what it says, and then its commands do', async () => {
  const lines: unknown[][] = [];
  const code = blockOf('js').replace(/^import .*$/gm, '');
  const AsyncFunction = (async () => {}).constructor as new (
    ...words: string[]
  ) => (...args: object[]) => Promise<void>;
  const program = new AsyncFunction('PolarisClient', 'tableFromArrays', 'console', code);
  await program(GuideClient, tableFromArrays, { log: (...words: unknown[]) => lines.push(words) });
  expect(lines).toEqual([[3, 'three'], [3], ['DATASET_CONFLICT']]);

  const client = new GuideClient();
  const commands = blockOf('sh').trim().split('\n');
  expect(commands.length).toBeGreaterThan(5);
  for (const command of commands) {
    const words = command.replaceAll('words.arrows', join(directory, 'words.arrows')).split(' ').slice(1);
    expect(await run(words, { client })).toMatchObject({ exit: 0, stderr: '' });
  }
  expect((await client.datasets.list()).map(({ name }) => name)).toEqual(['backup', 'monday', 'tuesday', 'words']);
});
