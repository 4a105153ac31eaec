/**
 * polaris job submit NAME: prints the id of the job, alone, so that a script can keep it.
 */

import { CLIENT_KEYS } from '../base/config.ts';
import { errorText, PolarisError } from '../base/errors.ts';
import type { Json } from '../base/types.ts';
import {
  type CliArguments,
  type CliCommand,
  clientOf,
  durationOf,
  outputOption,
  pointOf,
  positionalOf,
  readText,
  settingOptions,
  textOf,
  wantsJson,
} from './command.ts';
import { waitForJob } from './finish.ts';
import { colours } from './io.ts';
import { createProgressView } from './progress.ts';
import { renderJson } from './render.ts';

export const jobSubmit: CliCommand = {
  command: 'submit <name>',
  describe: 'Submit a job and print its id',
  build: (parser) =>
    parser
      .positional('name', { type: 'string', describe: 'The job type', demandOption: true })
      .options({
        start: { type: 'string', requiresArg: true, describe: 'First point' },
        end: { type: 'string', requiresArg: true, describe: 'First point that is not worked' },
        metadata: { type: 'string', requiresArg: true, describe: 'A JSON object, or @file with one' },
        id: { type: 'string', requiresArg: true, describe: 'A UUIDv4; submitting it again is safe' },
        option: {
          type: 'string',
          array: true,
          nargs: 1,
          describe: 'key=value, such as commitEvery=10; may be repeated',
        },
        wait: { type: 'boolean', default: false, describe: 'Wait for the end of the job' },
        timeout: { type: 'string', requiresArg: true, describe: 'With --wait: give up after 30s, 10m, 2h' },
        ...outputOption(),
        ...settingOptions(CLIENT_KEYS),
      })
      .example('$0 job submit exec --start 0 --end 100 --wait -- echo {start} {end}', 'any program')
      .example('$0 job submit mail --start 0 --end 1000 --metadata @mail.json', 'a job type of --jobs'),
  async run(io, args) {
    const timeoutMs = durationOf(args, 'timeout');
    if (timeoutMs !== null && args['wait'] !== true) throw new PolarisError('USAGE', '--timeout needs --wait');
    const request = submitRequest(args);
    const client = await clientOf(io, args);
    const job = await client.submit(request);
    io.stdout.write(wantsJson(args) ? renderJson(job) : `${job.id}\n`);
    if (args['wait'] !== true) return 0;
    const view = createProgressView(io.stderr, colours(io, io.stderr));
    return (await waitForJob(io, client, job.id, { timeoutMs, view })).exit;
  },
};

function submitRequest(args: CliArguments) {
  const start = pointOf(args, 'start');
  const end = pointOf(args, 'end');
  if (start === null || end === null) {
    throw new PolarisError('BAD_RANGE', `--${start === null ? 'start' : 'end'} is missing: say --start A --end B`);
  }
  const id = textOf(args, 'id');
  return {
    ...{ name: positionalOf(args, 'name'), start, end },
    metadata: metadataOf(args),
    options: optionsOf(args),
    ...(id === null ? {} : { id }),
  };
}

/** `--metadata`, with the program behind `--` as its `command`. */
function metadataOf(args: CliArguments): { readonly [key: string]: Json } {
  const given = textOf(args, 'metadata');
  const command = args['--'];
  const metadata = given === null ? {} : parseMetadata(given);
  if (!Array.isArray(command) || command.length === 0) return metadata;
  if (Object.hasOwn(metadata, 'command')) {
    throw new PolarisError('USAGE', 'the command is given twice: in --metadata and behind --');
  }
  return { ...metadata, command: command.map(String) };
}

function parseMetadata(given: string): { readonly [key: string]: Json } {
  const text = given.startsWith('@') ? readText(given.slice(1)) : given;
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (cause) {
    throw new PolarisError('USAGE', `--metadata is not JSON: ${errorText(cause)}`, { cause });
  }
  if (typeof value === 'object' && value !== null && !Array.isArray(value)) {
    return value as { readonly [key: string]: Json };
  }
  throw new PolarisError('USAGE', '--metadata must be a JSON object');
}

/** Values that read as JSON are taken as such; anything else is text. The server judges names and values. */
function optionsOf(args: CliArguments): { readonly [key: string]: Json } {
  const options: { [key: string]: Json } = {};
  const given = args['option'];
  for (const item of Array.isArray(given) ? given.map(String) : []) {
    const equals = item.indexOf('=');
    if (equals < 1) throw new PolarisError('USAGE', `--option must look like key=value, not "${item}"`);
    const key = item.slice(0, equals);
    if (Object.hasOwn(options, key)) throw new PolarisError('USAGE', `--option ${key} is given twice`);
    // `__proto__` as a plain assignment would vanish instead of being refused by name.
    Object.defineProperty(options, key, { value: optionValue(item.slice(equals + 1)), enumerable: true });
  }
  return options;
}

function optionValue(text: string): Json {
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
}
