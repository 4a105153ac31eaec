/**
 * polaris job retry ID: works again what failed, and nothing else.
 */
import { CLIENT_KEYS } from '../base/config.ts';
import { PolarisError } from '../base/errors.ts';
import type { RangeJson } from '../http/job-json.ts';
import { type CliCommand, clientOf, outputOption, positionalOf, settingOptions, textOf, wantsJson } from './command.ts';
import { renderJson } from './render.ts';

export const jobRetry: CliCommand = {
  command: 'retry <id>',
  describe: 'Work again what failed, and nothing else',
  build: (parser) =>
    parser
      .positional('id', { type: 'string', describe: 'Id of the job, shortened or whole', demandOption: true })
      .options({
        range: { type: 'string', requiresArg: true, describe: 'A:B, only what failed from A on and before B' },
        uncertain: {
          type: 'boolean',
          default: false,
          describe: 'Uncertain points too: they may take effect a second time',
        },
        ...outputOption(),
        ...settingOptions(CLIENT_KEYS),
      }),
  async run(io, args) {
    const text = textOf(args, 'range');
    const range = text === null ? {} : { range: parseRange(text) };
    const client = await clientOf(io, args);
    const job = await client.retry(positionalOf(args, 'id'), { ...range, uncertain: args['uncertain'] === true });
    io.stdout.write(wantsJson(args) ? renderJson(job) : `${job.id} ${job.state}\n`);
    return 0;
  },
};

/** `A:B`. @throws PolarisError USAGE */
export function parseRange(text: string): RangeJson {
  const found = /^(-?\d{1,16}):(-?\d{1,16})$/.exec(text);
  const [start, end] = [Number(found?.[1]), Number(found?.[2])];
  if (Number.isSafeInteger(start) && Number.isSafeInteger(end) && start < end) return [start, end];
  throw new PolarisError('USAGE', `--range must be A:B, two integers with A below B, not "${text}"`);
}
