/**
 * polaris job show ID: everything about one job on one screen.
 */
import { CLIENT_KEYS } from '../base/config.ts';
import type { InputJson, JobJson, RangesJson } from '../http/job-json.ts';
import { type CliCommand, clientOf, outputOption, positionalOf, settingOptions, wantsJson } from './command.ts';
import { renderBytes } from './dataset-progress.ts';
import { colours } from './io.ts';
import {
  percentOf,
  plainText,
  renderFields,
  renderJson,
  renderRate,
  renderSeconds,
  renderSettings,
  renderState,
} from './render.ts';

/** Failed ranges named on the screen. */
const ERRORS_SHOWN = 5;

export const jobShow: CliCommand = {
  command: 'show <id>',
  describe: 'Show one job',
  build: (parser) =>
    parser
      .positional('id', { type: 'string', describe: 'Id of the job, shortened or whole', demandOption: true })
      .options({ ...outputOption(), ...settingOptions(CLIENT_KEYS) }),
  async run(io, args) {
    const client = await clientOf(io, args);
    const job = await client.show(positionalOf(args, 'id'));
    if (wantsJson(args)) {
      io.stdout.write(renderJson(job));
      return 0;
    }
    const failed = job.progress.failed > 0 ? (await client.ranges(job.id)).failed : [];
    io.stdout.write(
      renderFields([...fieldsOf(job, colours(io, io.stdout)), ...failed.slice(0, ERRORS_SHOWN).map(errorField)]),
    );
    const more = failed.length - ERRORS_SHOWN;
    if (more > 0) io.stdout.write(`and ${more} more failed ranges: polaris job failures ${job.id} has all\n`);
    return 0;
  },
};

/** Why a range failed: what its last attempt said. */
function errorField(range: RangesJson['failed'][number]): readonly [string, string] {
  return ['error', `[${range.start}, ${range.end}) after ${range.attempts} attempts: ${plainText(range.error)}`];
}

/** The options that stay as they were submitted; the others are among the controls. */
function fixedOptions({ options, controls }: JobJson): object {
  const { at, ...fixed } = options;
  const own = Object.entries(fixed).filter(([name]) => !Object.hasOwn(controls, name));
  return { ...Object.fromEntries(own), at: at === null ? null : new Date(at).toISOString() };
}

function inputField({ dataset, handle }: InputJson): readonly [string, string] {
  return ['input', `${dataset ?? 'planned'}: ${handle.rows} rows, ${renderBytes(handle.bytes)}`];
}

function fieldsOf(job: JobJson, coloured: boolean): readonly (readonly [string, string])[] {
  const { progress } = job;
  return [
    ['id', job.id],
    ['name', plainText(job.name)],
    ['range', `[${job.start}, ${job.end})`],
    ...(job.input === null ? [] : [inputField(job.input)]),
    ['state', renderState(job.state, coloured)],
    ['run', String(job.run)],
    ['reason', plainText(job.reason ?? '-')],
    ['progress', `${percentOf(job)} of ${progress.total}`],
    ['done', String(progress.done)],
    ['leased', String(progress.leased)],
    ['pending', String(progress.pending)],
    ['failed', String(progress.failed)],
    ['uncertain', String(progress.uncertain)],
    ['reexecuted', String(progress.reexecuted)],
    ['rate', renderRate(job)],
    ['eta', renderSeconds(progress.etaSeconds)],
    ['created', job.createdAt],
    ['started', job.startedAt ?? '-'],
    ['finished', job.finishedAt ?? '-'],
    ['controls', renderSettings(job.controls)],
    ['options', plainText(renderSettings(fixedOptions(job)))],
    ['metadata', plainText(JSON.stringify(job.metadata))],
  ];
}
