/** Blobs and real processes: killed while they write, racing on a shared directory, and small beside what they carry. */
import { type ChildProcessByStdio, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import type { Readable } from 'node:stream';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { createPrng } from '../../../src/base/prng.ts';
import { directoryHarness } from './directory.ts';

/** Fifty processes have to start, two at a time, on whatever machine. */
const MANY_PROCESSES_MS = 600_000;

type Line = Readonly<Record<string, number | string | boolean>>;

interface Worker {
  readonly child: ChildProcessByStdio<null, Readable, null>;
  readonly lines: AsyncIterator<string>;
}

let harness: Awaited<ReturnType<typeof directoryHarness>>;
let workers: Worker[];
beforeEach(async () => {
  harness = await directoryHarness();
  workers = [];
});
afterEach(async () => {
  for (const worker of workers) await end(worker);
  await harness.dispose();
});

function start(...args: string[]): Worker {
  const path = join(import.meta.dirname, 'worker.ts');
  const child = spawn(process.execPath, ['--import', 'tsx', path, ...args], { stdio: ['ignore', 'pipe', 'inherit'] });
  const worker = { child, lines: createInterface({ input: child.stdout })[Symbol.asyncIterator]() };
  workers.push(worker);
  return worker;
}

/** The next line; null when the process has ended. */
async function next({ lines }: Worker): Promise<Line | null> {
  const { value, done } = await lines.next();
  return done === true ? null : (JSON.parse(value) as Line);
}

async function end({ child }: Worker): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const exited = once(child, 'exit');
  child.kill('SIGKILL');
  await exited;
}

/** Stops it in the middle of a blob: a part of its own lies there, and goes no further. */
async function stopInBlob({ child }: Worker, owner: string): Promise<void> {
  for (;;) {
    child.kill('SIGSTOP');
    if ((await harness.leftovers()).some((path) => path.includes(`part.${owner}.`))) return;
    child.kill('SIGCONT');
    await new Promise((resolve) => setImmediate(resolve));
  }
}

const KILLS = 26;
const KILLED = `${KILLS} times kill -9 at any moment: no partial blob, nothing unfinished, and all that was acknowledged`;
test(KILLED, { timeout: MANY_PROCESSES_MS }, async () => {
  const prng = createPrng(96);
  const acknowledged = new Set<string>();
  let unfinished = 0;
  const round = async (number: number) => {
    const owner = `n${number}`;
    const worker = start('store', harness.directory, owner);
    await next(worker);
    // After a few were acknowledged: in the middle of a blob, or a few turns of the loop later, wherever that is.
    for (let blobs = prng.integer(0, 4); blobs > 0; blobs--) acknowledged.add(String((await next(worker))?.hash));
    if (number % 2 === 0) await stopInBlob(worker, owner);
    else {
      for (let turns = prng.integer(0, 3_000); turns > 0; turns--) await new Promise((go) => setImmediate(go));
    }
    await end(worker);
    for (let line = await next(worker); line !== null; line = await next(worker)) acknowledged.add(String(line.hash));
    unfinished += (await harness.leftovers()).filter((path) => path.includes(`part.${owner}.`)).length;
    await harness.open(owner);
    expect((await harness.leftovers()).filter((path) => path.includes(`.${owner}.`))).toEqual([]);
  };
  for (let number = 0; number < KILLS; number += 2) await Promise.all([round(number), round(number + 1)]);
  // Otherwise the moments were badly chosen, and nothing was shown.
  expect(unfinished).toBeGreaterThan(5);
  expect(await harness.leftovers()).toEqual([]);
  const store = await harness.open();
  const found = new Set<string>();
  for await (const { hash } of store.list()) {
    expect(await store.scrub(hash)).toBe(true);
    found.add(hash);
  }
  expect(found.size).toBeGreaterThan(25);
  expect([...acknowledged].filter((hash) => !found.has(hash))).toEqual([]);
});

test('two processes keep what a third one clears around them, in one directory', async () => {
  const clearer = start('clear', harness.directory, 'n3');
  await next(clearer);
  const keepers = ['n1', 'n2'].map((owner) => start('keep', harness.directory, owner, '300'));
  const tallies = await Promise.all(
    keepers.map(async (keeper) => {
      await next(keeper);
      return next(keeper);
    }),
  );
  // At least once the clearer was first, else nothing was raced for.
  expect((await next(clearer))?.removed).toBeGreaterThanOrEqual(5);
  for (const tally of tallies) expect(tally).toMatchObject({ wrong: 0, kept: expect.any(Number) });
  expect(tallies.reduce((sum, tally) => sum + Number(tally?.kept), 0)).toBeGreaterThan(50);
  await end(clearer);
  expect(await harness.leftovers()).toEqual([]);
  const store = await harness.open('n3');
  expect((await store.usage()).blobs).toBe(300);
});

test.skipIf(!existsSync('/proc/self/io'))('half a GiB goes in and out through a few pieces', async () => {
  const bytes = 512 * 1_024 * 1_024;
  const worker = start('large', harness.directory, String(bytes));
  const said = await next(worker);
  process.stdout.write(`512 MiB stored and read: ${JSON.stringify(said)}\n`);
  expect(said?.read).toBe(bytes);
  expect(said?.heldPieces).toBeLessThanOrEqual(2);
  expect(said?.aheadPieces).toBeLessThanOrEqual(2);
});
