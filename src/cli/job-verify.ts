/**
 * polaris job verify ID: the proof of coverage. Exits 0 only when every point was worked and acknowledged.
 */
import { CLIENT_KEYS } from '../base/config.ts';
import { ERRORS } from '../base/errors.ts';
import type { VerifyJson } from '../http/job-json.ts';
import { type CliCommand, clientOf, outputOption, positionalOf, settingOptions, wantsJson } from './command.ts';
import { renderFields, renderJson, renderRanges } from './render.ts';

/** Ranges named on one line; -o json has them all. */
const RANGES_SHOWN = 10;

export const jobVerify: CliCommand = {
  command: 'verify <id>',
  describe: 'Prove that every point of a job was worked',
  build: (parser) =>
    parser
      .positional('id', { type: 'string', describe: 'Id of the job, shortened or whole', demandOption: true })
      .options({ ...outputOption(), ...settingOptions(CLIENT_KEYS) })
      .epilogue('Exits 0 when the whole range is covered, 3 when not, or when ranges failed or are uncertain.'),
  async run(io, args) {
    const client = await clientOf(io, args);
    const verified = await client.verify(positionalOf(args, 'id'));
    io.stdout.write(wantsJson(args) ? renderJson(verified) : renderFields(fieldsOf(verified)));
    const sound = verified.covered && verified.failed.length === 0 && verified.uncertain.length === 0;
    return sound ? 0 : ERRORS.FAILED_RANGES.exit;
  },
};

function fieldsOf(verified: VerifyJson): readonly (readonly [string, string])[] {
  const again = verified.reexecuted.map(({ start, end, times, workers }) => {
    return `[${start}, ${end})x${times} by ${workers.join(',')}`;
  });
  const more = again.length > RANGES_SHOWN ? ` and ${again.length - RANGES_SHOWN} more` : '';
  return [
    ['covered', verified.covered ? 'yes' : 'no'],
    ['missing', renderRanges(verified.missing, RANGES_SHOWN)],
    ['failed', renderRanges(verified.failed, RANGES_SHOWN)],
    ['uncertain', renderRanges(verified.uncertain, RANGES_SHOWN)],
    ['reexecuted', again.length === 0 ? 'none' : `${again.slice(0, RANGES_SHOWN).join(' ')}${more}`],
    ['claim', verified.claim],
  ];
}
