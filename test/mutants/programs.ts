/**
 * Programs: the test runner and the simulator as processes of their own, in a tree of their own.
 *
 * A mutant may make them run for ever. So each has a limit, and goes with all that it started when that is over.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { must } from '../../src/base/assert.ts';

export interface Ended {
  readonly code: number | null;
  readonly isStuck: boolean;
  /** Its last lines, for a person. */
  readonly tail: string;
}

export interface ProgramOptions {
  readonly tree: string;
  readonly args: readonly string[];
  readonly msMax: number;
  /** Sees each line of its output; true ends it. */
  readonly line?: (line: string) => boolean;
}

const TAIL_LINES = 8;
const running = new Set<ChildProcess>();

/** Runs Node with these arguments to its end. */
export async function runNode({ tree, args, msMax, line = () => false }: ProgramOptions): Promise<Ended> {
  const child = spawn(process.execPath, args, {
    cwd: tree,
    // At the head of a group: workers of its own are ended with it.
    detached: true,
    stdio: ['ignore', 'pipe', 'pipe'],
    // No test that is run here needs the compiled program.
    env: { ...process.env, POLARIS_BUILT: '1', NO_COLOR: '1' },
  });
  running.add(child);
  let isStuck = false;
  const limit = setTimeout(() => {
    isStuck = true;
    endGroup(child);
  }, msMax);
  const tail: string[] = [];
  for (const stream of [child.stdout, child.stderr]) {
    createInterface({ input: must(stream, 'output goes to a pipe') }).on('line', (text) => {
      tail.push(text);
      if (tail.length > TAIL_LINES) tail.shift();
      if (line(text)) endGroup(child);
    });
  }
  const [code] = (await once(child, 'close')) as [number | null];
  clearTimeout(limit);
  running.delete(child);
  return { code, isStuck, tail: tail.join('\n') };
}

/** Nothing outlives the run. */
export function endAll(): void {
  for (const child of running) endGroup(child);
}

/** Also when the program itself is gone, and only what it started is left. */
function endGroup({ pid }: ChildProcess): void {
  if (pid === undefined) return;
  try {
    process.kill(-pid, 'SIGKILL');
  } catch {
    // All of it ended by itself in this very moment.
  }
}
