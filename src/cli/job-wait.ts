/**
 * polaris job wait ID: for scripts; prints nothing but, with -o json, the job at its end.
 */
import { CLIENT_KEYS } from '../base/config.ts';
import {
  type CliCommand,
  clientOf,
  durationOf,
  outputOption,
  positionalOf,
  settingOptions,
  wantsJson,
} from './command.ts';
import { waitForJob } from './finish.ts';
import { colours } from './io.ts';
import { createProgressView } from './progress.ts';
import { renderJson } from './render.ts';

export const jobWait: CliCommand = {
  command: 'wait <id>',
  describe: 'Wait for the end of a job',
  build: (parser) =>
    parser
      .positional('id', { type: 'string', describe: 'Id of the job, shortened or whole', demandOption: true })
      .options({
        timeout: { type: 'string', requiresArg: true, describe: 'Give up after 30s, 10m, 2h (exit code 6)' },
        ...outputOption(),
        ...settingOptions(CLIENT_KEYS),
      })
      .epilogue('Exits 0 done, 3 finished with failed ranges, 1 cancelled, 6 timed out, 5 no leader.'),
  async run(io, args) {
    const timeoutMs = durationOf(args, 'timeout');
    const client = await clientOf(io, args);
    const view = createProgressView(io.stderr, colours(io, io.stderr));
    const { exit, job } = await waitForJob(io, client, positionalOf(args, 'id'), { timeoutMs, view });
    if (job !== null && wantsJson(args)) io.stdout.write(renderJson(job));
    return exit;
  },
};
