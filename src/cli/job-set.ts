/**
 * polaris job set ID key=value…: how an open job is treated, from now on.
 */
import { CLIENT_KEYS } from '../base/config.ts';
import type { Controls } from '../ranges/types.ts';
import { parseAssignments } from './assignments.ts';
import { type CliCommand, clientOf, outputOption, positionalOf, settingOptions, wantsJson } from './command.ts';
import { renderJson, renderSettings } from './render.ts';

export const jobSet: CliCommand = {
  command: 'set <id> <change..>',
  describe: 'Change priority, weight, maxConcurrency, pointsPerSecond or tolerate of an open job',
  build: (parser) =>
    parser
      .positional('id', { type: 'string', describe: 'Id of the job, shortened or whole', demandOption: true })
      .positional('change', { type: 'string', array: true, describe: 'key=value', demandOption: true })
      .options({ ...outputOption(), ...settingOptions(CLIENT_KEYS) })
      .example('$0 job set 3f maxConcurrency=4 pointsPerSecond=100', 'go easy on what it works on')
      .example('$0 job set 3f pointsPerSecond=null tolerate=5%', 'as fast as it goes, and bear some failures'),
  async run(io, args) {
    const words = args['change'];
    const changes = parseAssignments(Array.isArray(words) ? words.map(String) : [], 'a change');
    const client = await clientOf(io, args);
    // The server judges names and values.
    const job = await client.set(positionalOf(args, 'id'), changes as Partial<Controls>);
    io.stdout.write(wantsJson(args) ? renderJson(job) : `${job.id} ${renderSettings(job.controls)}\n`);
    return 0;
  },
};
