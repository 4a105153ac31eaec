/**
 * polaris job submit NAME: prints the id of the job, alone, so that a script can keep it. With --every it puts a schedule
 * instead, and prints its key.
 */
import { CLIENT_KEYS } from '../base/config.ts';
import { PolarisError } from '../base/errors.ts';
import type { SubmitRequest } from '../client/client.ts';
import { assign } from './assignments.ts';
import {
  type CliArguments,
  type CliCommand,
  clientOf,
  durationOf,
  outputOption,
  settingOptions,
  textOf,
  wantsJson,
} from './command.ts';
import { waitForJob } from './finish.ts';
import { type CliClient, type CliIo, colours } from './io.ts';
import { REQUEST_OPTIONS, requestOf, submissionOf } from './job-request.ts';
import { momentOf } from './moment.ts';
import { createProgressView } from './progress.ts';
import { renderJson } from './render.ts';

export const jobSubmit: CliCommand = {
  command: 'submit <name>',
  describe: 'Submit a job and print its id',
  build: (parser) =>
    parser
      .positional('name', { type: 'string', describe: 'The job type', demandOption: true })
      .options({
        ...REQUEST_OPTIONS,
        input: { type: 'string', requiresArg: true, describe: 'Dataset to work through, a row a point' },
        id: { type: 'string', requiresArg: true, describe: 'A UUIDv4; submitting it again is safe' },
        after: { type: 'string', requiresArg: true, describe: 'Id of a job: start once it is done' },
        at: { type: 'string', requiresArg: true, describe: 'Start at an ISO 8601 time, or in a while: +10m' },
        every: {
          type: 'string',
          requiresArg: true,
          describe: 'With --key: a schedule, by a cron text such as "0 3 * * *"',
        },
        key: { type: 'string', requiresArg: true, describe: 'Name of the schedule' },
        'time-zone': { type: 'string', requiresArg: true, describe: 'Of --every', defaultDescription: 'UTC' },
        wait: { type: 'boolean', default: false, describe: 'Wait for the end of the job' },
        timeout: { type: 'string', requiresArg: true, describe: 'With --wait: give up after 30s, 10m, 2h' },
        ...outputOption(),
        ...settingOptions(CLIENT_KEYS),
      })
      .example('$0 job submit exec --start 0 --end 100 --wait -- echo {start} {end}', 'any program')
      .example('$0 job submit mail --start 0 --end 1000 --metadata @mail.json', 'a job type of --jobs')
      .example('$0 job submit mail --start 0 --end 1000 --every "0 3 * * *" --key nightly', 'each night at three'),
  async run(io, args) {
    checkTogether(args);
    const timeoutMs = durationOf(args, 'timeout');
    const cron = textOf(args, 'every');
    if (cron !== null) return schedule(io, args, cron);
    const client = await clientOf(io, args);
    const job = await client.submit(await submitRequest(io, client, args));
    io.stdout.write(wantsJson(args) ? renderJson(job) : `${job.id}\n`);
    if (args['wait'] !== true) return 0;
    const view = createProgressView(io.stderr, colours(io, io.stderr));
    return (await waitForJob(io, client, job.id, { timeoutMs, view })).exit;
  },
};

/** Options that mean nothing without another, or against it. @throws PolarisError USAGE */
function checkTogether(args: CliArguments): void {
  const refuse = (detail: string): never => {
    throw new PolarisError('USAGE', detail);
  };
  const isGiven = (name: string): boolean => args[name] !== undefined && args[name] !== false;
  if (isGiven('timeout') && !isGiven('wait')) refuse('--timeout needs --wait');
  if (!isGiven('every')) {
    const lone = ['key', 'time-zone'].find(isGiven);
    if (lone !== undefined) refuse(`--${lone} needs --every CRON`);
    return;
  }
  if (!isGiven('key')) refuse('--every needs --key NAME, by which the schedule is found again');
  const wrong = ['id', 'after', 'at', 'wait', 'input'].find(isGiven);
  if (wrong !== undefined) refuse(`--${wrong} is for one job, and --every submits many`);
}

async function schedule(io: CliIo, args: CliArguments, cron: string): Promise<number> {
  const timeZone = textOf(args, 'time-zone');
  const wanted = { cron, job: requestOf(args), ...(timeZone === null ? {} : { timeZone }) };
  const put = await (await clientOf(io, args)).putSchedule(textOf(args, 'key') ?? '', wanted);
  io.stdout.write(wantsJson(args) ? renderJson(put) : `${put.key}\n`);
  return 0;
}

async function submitRequest(io: CliIo, client: CliClient, args: CliArguments): Promise<SubmitRequest> {
  const request = submissionOf(args);
  const [id, after, at] = [textOf(args, 'id'), textOf(args, 'after'), momentOf(args, 'at', io.now())];
  // The option wants a whole id, and a person has the first letters.
  if (after !== null) assign(request.options, 'after', (await client.show(after)).id, '--option');
  if (at !== null) assign(request.options, 'at', at, '--option');
  return id === null ? request : { ...request, id };
}
