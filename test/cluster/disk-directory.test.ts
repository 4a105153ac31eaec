/**
 * A new data directory survives a power cut: its name is synced into its parent before anybody hears of the node.
 */
import { dirname, join } from 'node:path';
import { expect, test } from 'vitest';
import { prepareScene, report, voters } from './harness.ts';
import { readTrace, type SystemCall, straceCommand, straceRefusal } from './strace.ts';

const refusal = straceRefusal();
if (refusal !== null) report(`skipped: ${refusal}`);

test.skipIf(refusal !== null)(
  `the first start makes the data directory and syncs its parent before it listens${
    refusal === null ? '' : ` (${refusal})`
  }`,
  async () => {
    const scene = await prepareScene(voters(0, ['n1']));
    const { cluster } = scene;
    const output = join(scene.dir, 'trace');
    // -y shows the path of every descriptor.
    const names = ['mkdir', 'fsync', 'fdatasync', 'listen', 'rename'];
    const [strace = 'strace', ...flags] = straceCommand(output, names);
    cluster.start('n1', [strace, '-y', ...flags.map((flag) => (flag === '64' ? '4096' : flag))]);
    const { pid } = await scene.logged('n1', 'its process id', (record) => record.msg === 'listening');
    const ended = cluster.ended('n1');
    process.kill(Number(pid), 'SIGTERM');
    await ended;

    const calls = readTrace(output).filter(({ text }) => / = 0\b/.test(text));
    const dataDir = cluster.dataDir('n1');
    const logDir = join(dataDir, 'log');
    const listening = one(calls, 'that it listens', ({ name }) => name === 'listen');
    for (const made of [dataDir, logDir]) {
      const making = one(calls, `mkdir ${made}`, ({ name, text }) => name === 'mkdir' && text.includes(`"${made}"`));
      const parent = `<${dirname(made)}>`;
      const syncing = calls.find(
        ({ name, text, begun }) => name === 'fsync' && text.includes(parent) && begun >= making.returned,
      );
      expect(syncing, `an fsync of ${parent}`).toBeDefined();
      expect(syncing?.returned).toBeLessThanOrEqual(listening.begun);
    }
    const first = calls.find(
      ({ name, text }) => name === 'fdatasync' && text.includes(logDir) && text.includes('.log>'),
    );
    expect(first, 'the sync of the instance id').toBeDefined();
    expect(first?.returned).toBeLessThanOrEqual(listening.begun);
    report(`${calls.filter(({ name }) => name === 'fsync').length} directories were synced`);
  },
);

function one(calls: readonly SystemCall[], what: string, wanted: (call: SystemCall) => boolean): SystemCall {
  const found = calls.find(wanted);
  if (found === undefined) throw new Error(`the trace lacks ${what}: ${calls.map(({ text }) => text).join('\n')}`);
  return found;
}
