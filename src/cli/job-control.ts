/**
 * polaris job pause|resume|cancel ID.
 */
import { CLIENT_KEYS } from '../base/config.ts';
import { type CliCommand, clientOf, outputOption, positionalOf, settingOptions, wantsJson } from './command.ts';
import { renderJson } from './render.ts';

export const jobPause = control('pause', 'Pause a job: its tasks stop at their next point, commit and give back');
export const jobResume = control('resume', 'Let a paused job go on');
export const jobCancel = control('cancel', 'Cancel a job for good; what was worked stays acknowledged');

function control(action: 'pause' | 'resume' | 'cancel', describe: string): CliCommand {
  return {
    command: `${action} <id>`,
    describe,
    build: (parser) =>
      parser
        .positional('id', { type: 'string', describe: 'Id of the job, shortened or whole', demandOption: true })
        .options({ ...outputOption(), ...settingOptions(CLIENT_KEYS) }),
    async run(io, args) {
      const client = await clientOf(io, args);
      const job = await client[action](positionalOf(args, 'id'));
      io.stdout.write(wantsJson(args) ? renderJson(job) : `${job.id} ${job.state}\n`);
      return 0;
    },
  };
}
