/**
 * polaris schedule put|list|rm.
 */
import { CLIENT_KEYS } from '../base/config.ts';
import type { ScheduleJson } from '../http/schedules.ts';
import { type CliCommand, clientOf, outputOption, positionalOf, settingOptions, textOf, wantsJson } from './command.ts';
import { REQUEST_OPTIONS, requestOf } from './job-request.ts';
import { renderJson, renderTable } from './render.ts';

export const schedulePut: CliCommand = {
  command: 'put <key> <name>',
  describe: 'Submit a job again and again; puts it in place of the schedule of this key',
  build: (parser) =>
    parser
      .positional('key', { type: 'string', describe: 'Name of the schedule', demandOption: true })
      .positional('name', { type: 'string', describe: 'The job type', demandOption: true })
      .options({
        cron: {
          type: 'string',
          requiresArg: true,
          demandOption: true,
          describe: 'Minute, hour, day, month, weekday; a sixth field before them is the second',
        },
        'time-zone': { type: 'string', requiresArg: true, describe: 'Of the cron text', defaultDescription: 'UTC' },
        ...REQUEST_OPTIONS,
        ...outputOption(),
        ...settingOptions(CLIENT_KEYS),
      })
      .example('$0 schedule put nightly mail --cron "0 3 * * *" --start 0 --end 1000', 'each night at three'),
  async run(io, args) {
    const timeZone = textOf(args, 'time-zone');
    const cron = positionalOf(args, 'cron');
    const wanted = { cron, job: requestOf(args), ...(timeZone === null ? {} : { timeZone }) };
    const schedule = await (await clientOf(io, args)).putSchedule(positionalOf(args, 'key'), wanted);
    io.stdout.write(wantsJson(args) ? renderJson(schedule) : `${schedule.key} ${schedule.nextAt ?? 'never'}\n`);
    return 0;
  },
};

export const scheduleList: CliCommand = {
  command: 'list',
  describe: 'List schedules, when they are due and what they submitted last',
  build: (parser) => parser.options({ ...outputOption(), ...settingOptions(CLIENT_KEYS) }),
  async run(io, args) {
    const schedules = await (await clientOf(io, args)).schedules();
    const header = ['key', 'cron', 'time zone', 'job', 'next', 'skipped', 'last job'];
    io.stdout.write(wantsJson(args) ? renderJson({ schedules }) : renderTable(header, schedules.map(row)));
    return 0;
  },
};

export const scheduleRemove: CliCommand = {
  command: 'rm <key>',
  describe: 'Take a schedule away; the jobs that it submitted stay',
  build: (parser) =>
    parser
      .positional('key', { type: 'string', describe: 'Name of the schedule', demandOption: true })
      .options(settingOptions(CLIENT_KEYS)),
  async run(io, args) {
    const key = positionalOf(args, 'key');
    await (await clientOf(io, args)).dropSchedule(key);
    io.stdout.write(`${key} removed\n`);
    return 0;
  },
};

function row({ key, cron, timeZone, job, nextAt, skipped, lastJob }: ScheduleJson): readonly string[] {
  const work = `${job.name} ${job.start}..${job.end}`;
  return [key, cron, timeZone, work, nextAt ?? 'never', String(skipped), lastJob ?? '-'];
}
