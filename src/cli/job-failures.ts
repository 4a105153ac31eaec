/**
 * polaris job failures ID: which points failed or are uncertain, where, how often, why.
 */
import { CLIENT_KEYS } from '../base/config.ts';
import { failuresCsv } from '../http/failures-csv.ts';
import type { FailuresJson } from '../http/job-json.ts';
import { type CliCommand, clientOf, positionalOf, settingOptions, textOf } from './command.ts';
import { renderJson, renderTable } from './render.ts';

const FORMS = ['table', 'json', 'csv'] as const;

export const jobFailures: CliCommand = {
  command: 'failures <id>',
  describe: 'List what failed or is uncertain, and why',
  build: (parser) =>
    parser
      .positional('id', { type: 'string', describe: 'Id of the job, shortened or whole', demandOption: true })
      .options({
        output: { alias: 'o', choices: FORMS, default: 'table', describe: 'Form of the output' },
        ...settingOptions(CLIENT_KEYS),
      }),
  async run(io, args) {
    const client = await clientOf(io, args);
    const failures = await client.failures(positionalOf(args, 'id'));
    io.stdout.write(rendered(failures, textOf(args, 'output')));
    return 0;
  },
};

function rendered(failures: FailuresJson, form: string | null): string {
  if (form === 'json') return renderJson(failures);
  if (form === 'csv') return [...failuresCsv(failures)].join('');
  const rows = [
    ...failures.failed.map(({ start, end, attempts, worker, at, error }) => {
      return ['failed', `${start}..${end}`, String(attempts), worker, at, error];
    }),
    ...failures.uncertain.map(({ start, end, worker, at }) => ['uncertain', `${start}..${end}`, '1', worker, at, '']),
  ];
  return renderTable(['kind', 'range', 'attempts', 'worker', 'at', 'error'], rows);
}
