/**
 * polaris dev: a whole cluster on this machine in one command, each node a process of its own, as in earnest.
 *
 * Invariants: no child outlives this command, unless it is killed outright · children are ended by their pid · a data
 * directory that is kept comes back with the same ports, since members are known by their addresses.
 */
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { availableParallelism, tmpdir } from 'node:os';
import { join } from 'node:path';
import { SETTINGS } from '../base/config.ts';
import { PolarisError } from '../base/errors.ts';
import { type CliArguments, type CliCommand, textOf } from './command.ts';
import { type DevNode, nodeArguments, startNode } from './dev-node.ts';
import { choosePorts } from './dev-ports.ts';
import type { CliIo } from './io.ts';

const NODES_DEFAULT = 3;
/** Beyond seven voters every commit only gets slower. */
const NODES_MAX = 7;
const LEADER_LOOK_MS = 100;

export const dev: CliCommand = {
  command: 'dev',
  describe: 'Run a cluster on this machine, until Ctrl-C',
  build: (parser) =>
    parser
      .options({
        nodes: { type: 'string', requiresArg: true, describe: 'Voters', defaultDescription: String(NODES_DEFAULT) },
        'data-dir': { type: 'string', requiresArg: true, describe: 'Keep the data here; else it is temporary' },
        jobs: { type: 'string', requiresArg: true, describe: 'Directory of job types, beside the bundled ones' },
        slots: { type: 'string', requiresArg: true, describe: 'Slots of each node', defaultDescription: 'its share' },
        'log-level': { type: 'string', requiresArg: true, describe: 'Of the nodes', defaultDescription: 'warn' },
      })
      .example('$0 dev', 'prints the address of each node once there is a leader')
      .epilogue('The first Ctrl-C lets the nodes drain, the second ends them at once.'),
  run: runDev,
};

async function runDev(io: CliIo, args: CliArguments): Promise<number> {
  const count = countOf(args);
  const kept = textOf(args, 'data-dir');
  const directory = kept ?? mkdtempSync(join(tmpdir(), 'polaris-dev-'));
  try {
    mkdirSync(directory, { recursive: true });
    const ports = await choosePorts(directory, count);
    const slots = textOf(args, 'slots') ?? String(Math.max(1, Math.floor(availableParallelism() / count)));
    const nodes = ports.map((port, index) =>
      startNode(`n${index + 1}`, `http://127.0.0.1:${port}`, [
        ...nodeArguments({ index, ports, directory }),
        ...['--slots', slots, '--log-level', textOf(args, 'log-level') ?? 'warn'],
        ...(textOf(args, 'jobs') === null ? [] : ['--jobs', textOf(args, 'jobs') ?? '']),
      ]),
    );
    return await superviseNodes(io, nodes);
  } finally {
    if (kept === null) rmSync(directory, { recursive: true, force: true });
  }
}

/** Until all nodes have ended; 0 when that was asked for. */
async function superviseNodes(io: CliIo, nodes: readonly DevNode[]): Promise<number> {
  const stopping = new AbortController();
  const stop = (): void => {
    const signal = stopping.signal.aborted ? 'SIGKILL' : 'SIGTERM';
    stopping.abort();
    for (const node of nodes) node.signal(signal);
  };
  const lastResort = (): void => {
    for (const node of nodes) node.signal('SIGKILL');
  };
  const signals = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const;
  for (const signal of signals) process.on(signal, stop);
  process.once('exit', lastResort);
  const allEnded = Promise.all(
    nodes.map(async (node) => {
      const how = await node.ended;
      if (!stopping.signal.aborted) io.stderr.write(`polaris: node ${node.id} ended by itself: ${how}\n`);
    }),
  );
  try {
    const gone = new AbortController();
    const announced = announceLeader(io, nodes, AbortSignal.any([stopping.signal, gone.signal]));
    await allEnded;
    gone.abort();
    await announced;
    return stopping.signal.aborted ? 0 : 1;
  } finally {
    for (const signal of signals) process.off(signal, stop);
    process.off('exit', lastResort);
  }
}

/** Prints the addresses once a node knows a leader. */
async function announceLeader(io: CliIo, nodes: readonly DevNode[], ended: AbortSignal): Promise<void> {
  while (!ended.aborted) {
    for (const node of nodes) {
      if (!(await knowsLeader(node.url, ended))) continue;
      io.stdout.write(nodes.map(({ url }) => `${url}\n`).join(''));
      io.stderr.write(`The cluster is up. Ctrl-C ends it. Try: ${exampleFor(nodes[0]?.url ?? node.url)}\n`);
      return;
    }
    await new Promise((resolve) => setTimeout(resolve, LEADER_LOOK_MS));
  }
}

function exampleFor(url: string): string {
  const where = url === SETTINGS.url.defaultText ? '' : ` --url ${url}`;
  return `polaris job submit exec --start 0 --end 100 --wait${where} -- echo {start} {end}`;
}

async function knowsLeader(url: string, ended: AbortSignal): Promise<boolean> {
  try {
    const response = await fetch(`${url}/v1/cluster`, {
      signal: AbortSignal.any([ended, AbortSignal.timeout(1_000)]),
    });
    const status = (await response.json()) as { leader?: unknown };
    return typeof status.leader === 'string';
  } catch {
    // Not listening yet.
    return false;
  }
}

function countOf(args: CliArguments): number {
  const text = textOf(args, 'nodes');
  const count = text === null ? NODES_DEFAULT : Number(text);
  if (Number.isInteger(count) && count >= 1 && count <= NODES_MAX) return count;
  throw new PolarisError('USAGE', `--nodes must be an integer from 1 to ${NODES_MAX}, not "${text}"`);
}
