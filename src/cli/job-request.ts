/**
 * What a job is asked for with on the command line, by `job submit` and by `schedule put`.
 */
import type { Options } from 'yargs';
import { errorText, PolarisError } from '../base/errors.ts';
import type { JobRequest, SubmitRequest } from '../client/client.ts';
import { type Assigned, assign, parseAssignments } from './assignments.ts';
import { type CliArguments, pointOf, positionalOf, readText, textOf } from './command.ts';

export const REQUEST_OPTIONS: { readonly [name: string]: Options } = {
  start: { type: 'string', requiresArg: true, describe: 'First point' },
  end: { type: 'string', requiresArg: true, describe: 'First point that is not worked' },
  metadata: { type: 'string', requiresArg: true, describe: 'A JSON object, or @file with one' },
  delivery: {
    type: 'string',
    requiresArg: true,
    describe: 'at-least-once, at-most-once or exactly-once, as the job type can keep',
    defaultDescription: 'at-least-once',
  },
  option: {
    type: 'string',
    array: true,
    nargs: 1,
    describe: 'key=value, such as commitEvery=10 or tolerate=5%; may be repeated',
  },
};

/** @throws PolarisError USAGE, BAD_RANGE */
export function requestOf(args: CliArguments): JobRequest & { readonly options: Assigned } {
  return { ...workOf(args), ...rangeOf(args) };
}

/** The same, where an input or the Master of the type may stand for its range. @throws PolarisError USAGE, BAD_RANGE */
export function submissionOf(args: CliArguments): SubmitRequest & { readonly options: Assigned } {
  const input = textOf(args, 'input');
  const isUnsaid = args['start'] === undefined && args['end'] === undefined;
  return { ...workOf(args), ...(isUnsaid ? {} : rangeOf(args)), ...(input === null ? {} : { input }) };
}

function workOf(args: CliArguments): Pick<JobRequest, 'name' | 'metadata'> & { readonly options: Assigned } {
  return { name: positionalOf(args, 'name'), metadata: metadataOf(args), options: optionsOf(args) };
}

function rangeOf(args: CliArguments): Pick<JobRequest, 'start' | 'end'> {
  const start = pointOf(args, 'start');
  const end = pointOf(args, 'end');
  if (start !== null && end !== null) return { start, end };
  throw new PolarisError('BAD_RANGE', `--${start === null ? 'start' : 'end'} is missing: say --start A --end B`);
}

/** `--metadata`, with the program behind `--` as its `command`. */
function metadataOf(args: CliArguments): Assigned {
  const given = textOf(args, 'metadata');
  const command = args['--'];
  const metadata = given === null ? {} : parseMetadata(given);
  if (!Array.isArray(command) || command.length === 0) return metadata;
  if (Object.hasOwn(metadata, 'command')) {
    throw new PolarisError('USAGE', 'the command is given twice: in --metadata and behind --');
  }
  return { ...metadata, command: command.map(String) };
}

function parseMetadata(given: string): Assigned {
  const text = given.startsWith('@') ? readText(given.slice(1)) : given;
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (cause) {
    throw new PolarisError('USAGE', `--metadata is not JSON: ${errorText(cause)}`, { cause });
  }
  if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value as Assigned;
  throw new PolarisError('USAGE', '--metadata must be a JSON object');
}

function optionsOf(args: CliArguments): Assigned {
  const given = args['option'];
  const options = parseAssignments(Array.isArray(given) ? given.map(String) : [], '--option');
  const delivery = textOf(args, 'delivery');
  if (delivery !== null) assign(options, 'delivery', delivery, '--option');
  return options;
}
