/**
 * polaris job watch ID: the job's progress until its end. Here the progress is the data, so it goes to stdout: a bar on
 * a terminal, lines elsewhere, and with -o json one job a line.
 */
import { CLIENT_KEYS } from '../base/config.ts';
import { type CliCommand, clientOf, outputOption, positionalOf, settingOptions, wantsJson } from './command.ts';
import { waitForJob } from './finish.ts';
import { type CliIo, colours } from './io.ts';
import { createProgressView, type ProgressView } from './progress.ts';

export const jobWatch: CliCommand = {
  command: 'watch <id>',
  describe: 'Follow a job to its end',
  build: (parser) =>
    parser
      .positional('id', { type: 'string', describe: 'Id of the job, shortened or whole', demandOption: true })
      .options({ ...outputOption(), ...settingOptions(CLIENT_KEYS) })
      .epilogue('Exits 0 done, 3 finished with failed ranges, 1 cancelled, 5 no leader. Ctrl-C leaves the job alone.'),
  async run(io, args) {
    const client = await clientOf(io, args);
    const view = wantsJson(args) ? jsonView(io) : createProgressView(io.stdout, colours(io, io.stdout));
    return (await waitForJob(io, client, positionalOf(args, 'id'), { timeoutMs: null, view })).exit;
  },
};

/** One line for each change. */
function jsonView(io: CliIo): ProgressView {
  let last = '';
  return {
    show(job) {
      const line = JSON.stringify(job);
      if (line !== last) io.stdout.write(`${line}\n`);
      last = line;
    },
    end() {},
  };
}
