/**
 * polaris job list: the newest jobs first.
 */
import { CLIENT_KEYS } from '../base/config.ts';
import { PolarisError } from '../base/errors.ts';
import type { JobState } from '../ranges/types.ts';
import { type CliCommand, clientOf, outputOption, settingOptions, textOf, wantsJson } from './command.ts';
import { percentOf, renderJson, renderRate, renderSeconds, renderTable } from './render.ts';

const STATES: readonly JobState[] = ['pending', 'running', 'paused', 'done', 'failed', 'cancelled'];

export const jobList: CliCommand = {
  command: 'list',
  describe: 'List jobs, the newest first',
  build: (parser) =>
    parser.options({
      state: { choices: STATES, describe: 'Only jobs in this state' },
      limit: { type: 'string', requiresArg: true, describe: 'At most so many', defaultDescription: '100' },
      ...outputOption(),
      ...settingOptions(CLIENT_KEYS),
    }),
  async run(io, args) {
    const limit = textOf(args, 'limit');
    if (limit !== null && !/^[1-9]\d{0,5}$/.test(limit)) {
      throw new PolarisError('USAGE', `--limit must be a positive integer, not "${limit}"`);
    }
    const state = textOf(args, 'state') as JobState | null;
    const client = await clientOf(io, args);
    const jobs = await client.list({
      ...(limit === null ? {} : { limit: Number(limit) }),
      ...(state === null ? {} : { state }),
    });
    const rows = jobs.map((job) => [
      ...[job.id, job.name, `${job.start}..${job.end}`, job.state, percentOf(job), renderRate(job)],
      ...[renderSeconds(job.progress.etaSeconds), job.createdAt],
    ]);
    const header = ['id', 'name', 'range', 'state', 'progress', 'rate', 'eta', 'created'];
    io.stdout.write(wantsJson(args) ? renderJson({ jobs }) : renderTable(header, rows));
    return 0;
  },
};
