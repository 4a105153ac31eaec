/**
 * One node of `polaris dev`: this very program, started again as `polaris node`.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { errorText } from '../base/errors.ts';

export interface DevNode {
  readonly id: string;
  readonly url: string;
  /** How it ended, as text; never rejects. */
  readonly ended: Promise<string>;
  /** Does nothing once it has ended. */
  signal(signal: 'SIGTERM' | 'SIGKILL'): void;
}

export function nodeArguments(place: {
  readonly index: number;
  readonly ports: readonly number[];
  readonly directory: string;
}): readonly string[] {
  const { index, ports, directory } = place;
  const id = `n${index + 1}`;
  const peers = ports.map((port, other) => `n${other + 1}=127.0.0.1:${port}`).join(',');
  return [
    ...['--id', id, '--listen', `127.0.0.1:${ports[index]}`, '--peers', peers],
    ...['--data-dir', join(directory, id)],
  ];
}

export function startNode(id: string, url: string, args: readonly string[]): DevNode {
  // execArgv carries the loader when the sources are run as they are.
  const child = spawn(process.execPath, [...process.execArgv, process.argv[1] ?? '', 'node', ...args], {
    stdio: ['ignore', 'inherit', 'inherit'],
    env: withoutSettings(process.env),
    // A group of its own: Ctrl-C reaches the node once, through us, and not a second time from the terminal.
    detached: true,
  });
  const ended = once(child, 'exit').then(
    ([code, signal]) => (signal === null ? `exit code ${code}` : `signal ${signal}`),
    (error: unknown) => errorText(error),
  );
  return { id, url, ended, signal: (signal) => child.kill(signal) };
}

/** Everything is said by flags; a POLARIS_LISTEN meant for one node must not reach three. */
function withoutSettings(environment: NodeJS.ProcessEnv): NodeJS.ProcessEnv {
  return Object.fromEntries(Object.entries(environment).filter(([name]) => !name.startsWith('POLARIS_')));
}
