/**
 * polaris worker list|drain.
 */
import { CLIENT_KEYS } from '../base/config.ts';
import type { WorkerJson } from '../http/workers.ts';
import { type CliCommand, clientOf, outputOption, positionalOf, settingOptions, wantsJson } from './command.ts';
import { renderJson, renderTable } from './render.ts';

export const workerList: CliCommand = {
  command: 'list',
  describe: 'List workers, what they hold and what they offer',
  build: (parser) => parser.options({ ...outputOption(), ...settingOptions(CLIENT_KEYS) }),
  async run(io, args) {
    const workers = await (await clientOf(io, args)).workers();
    const header = ['id', 'address', 'slots', 'busy', 'state', 'job types'];
    io.stdout.write(wantsJson(args) ? renderJson({ workers }) : renderTable(header, workers.map(row)));
    return 0;
  },
};

export const workerDrain: CliCommand = {
  command: 'drain <id>',
  describe: 'Let a worker give back what it holds and take nothing new, until --undo or its end',
  build: (parser) =>
    parser.positional('id', { type: 'string', describe: 'Id of the worker', demandOption: true }).options({
      undo: { type: 'boolean', default: false, describe: 'Let it take tasks again' },
      ...outputOption(),
      ...settingOptions(CLIENT_KEYS),
    }),
  async run(io, args) {
    const client = await clientOf(io, args);
    const worker = await client.drainWorker(positionalOf(args, 'id'), args['undo'] !== true);
    io.stdout.write(wantsJson(args) ? renderJson(worker) : `${worker.id} ${stateOf(worker)}\n`);
    return 0;
  },
};

function row(worker: WorkerJson): readonly string[] {
  const { id, address, slots, busy, jobTypes } = worker;
  return [id, address, String(slots), String(busy), stateOf(worker), jobTypes.join(',')];
}

function stateOf({ draining, busy }: WorkerJson): string {
  if (draining === null) return 'unknown';
  if (!draining) return 'working';
  return busy === 0 ? 'drained' : `draining, ${busy} left`;
}
