/**
 * Reads what `strace -f -ttt` wrote of one process: system calls with the times at which they began and returned.
 */
import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';

export interface SystemCall {
  readonly name: string;
  /** Arguments and result as strace shows them. */
  readonly text: string;
  /** Seconds since 1970. */
  readonly begun: number;
  readonly returned: number;
}

/** Why strace cannot be used here; null when it can. */
export function straceRefusal(): string | null {
  const tried = spawnSync('strace', ['-o', '/dev/null', 'true'], { encoding: 'utf8' });
  if (tried.error !== undefined) return 'strace is not installed';
  return tried.status === 0 ? null : `strace does not work: ${tried.stderr.trim()}`;
}

/** The command line that goes before the program. `-T` tells how long each call took. */
export function straceCommand(output: string, calls: readonly string[]): string[] {
  return ['strace', '-f', '-ttt', '-T', '-s', '64', '-e', `trace=${calls.join(',')}`, '-o', output];
}

/** Completed calls in the order in which they returned. */
export function readTrace(path: string): SystemCall[] {
  const calls: SystemCall[] = [];
  const unfinished = new Map<string, { readonly begun: number; readonly text: string }>();
  for (const line of readFileSync(path, 'utf8').split('\n')) {
    const match = /^(\d+) +(\d+\.\d+) (.*)$/.exec(line);
    if (match === null) continue;
    const [, thread = '', time, text = ''] = match;
    const resumed = /^<\.\.\. (\w+) resumed>(.*)$/.exec(text);
    if (text.endsWith('<unfinished ...>')) unfinished.set(thread, { begun: Number(time), text });
    else if (resumed !== null) {
      const start = unfinished.get(thread);
      if (start === undefined) continue;
      const whole = start.text.replace('<unfinished ...>', resumed[2] ?? '');
      calls.push({ name: resumed[1] ?? '', text: whole, begun: start.begun, returned: Number(time) });
    } else {
      const name = /^(\w+)\(/.exec(text)?.[1];
      const took = Number(/<(\d+\.\d+)>$/.exec(text)?.[1] ?? 0);
      if (name !== undefined) calls.push({ name, text, begun: Number(time), returned: Number(time) + took });
    }
  }
  return calls;
}
