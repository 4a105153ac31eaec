/**
 * Command: the program of a task, made of the metadata of its job.
 */
import { PolarisError } from '../base/errors.ts';
import type { TaskOrder } from '../wire/messages.ts';

export interface Command {
  readonly program: string;
  readonly args: readonly string[];
  /** Undefined is the directory of the node. */
  readonly cwd: string | undefined;
  readonly env: Readonly<Record<string, string>>;
}

/** @throws PolarisError BAD_METADATA */
export function commandOf(order: TaskOrder): Command {
  const { command, cwd, env } = readMetadata(order.metadata);
  const values: Readonly<Record<string, string>> = {
    job: order.job,
    // The first point that is not done: of a task that was begun before, the rest.
    start: String(order.cursor),
    end: String(order.end),
    epoch: String(order.epoch),
  };
  const fill = (text: string) => text.replace(/\{(job|start|end|epoch)\}/g, (hole, name) => values[name] ?? hole);
  const [program, ...args] = command;
  const polaris = Object.entries(values).map(([name, value]) => [`POLARIS_${name.toUpperCase()}`, value]);
  return { program: fill(program), args: args.map(fill), cwd, env: { ...env, ...Object.fromEntries(polaris) } };
}

interface Metadata {
  readonly command: readonly [string, ...string[]];
  readonly cwd: string | undefined;
  readonly env: Readonly<Record<string, string>>;
}

/**
 * What jobs/exec/index.ts declares as its schema, read again: a job may have been taken by a node of another version.
 * By hand, because every job host would pay for loading a validator.
 */
function readMetadata(text: string): Metadata {
  const { command, cwd, env = {} }: Readonly<Record<string, unknown>> = JSON.parse(text);
  if (!isStrings(command) || command[0] === undefined || command[0] === '') {
    throw new PolarisError('BAD_METADATA', 'metadata.command must be a list of strings, the program first');
  }
  if (cwd !== undefined && typeof cwd !== 'string') {
    throw new PolarisError('BAD_METADATA', 'metadata.cwd must be a string');
  }
  if (typeof env !== 'object' || env === null || !isStrings(Object.values(env))) {
    throw new PolarisError('BAD_METADATA', 'metadata.env must be an object of strings');
  }
  const [program, ...args] = command;
  return { command: [program, ...args], cwd, env: env as Readonly<Record<string, string>> };
}

function isStrings(value: unknown): value is readonly string[] {
  return Array.isArray(value) && value.every((item) => typeof item === 'string');
}
