/**
 * polaris cluster restore FILE: a data directory of a new cluster with one voter, from a backup. No node runs meanwhile
 * and none is asked; `polaris node` starts the new cluster afterwards, and others join it with --join.
 */
import { v4 as uuidv4 } from 'uuid';
import { nodeProcessConfig, type SettingKey, splitAddress } from '../base/config.ts';
import { PolarisError } from '../base/errors.ts';
import type { Address, LogIndex } from '../base/types.ts';
import {
  type CliArguments,
  type CliCommand,
  outputOption,
  pointOf,
  positionalOf,
  settingOptions,
  settingsOf,
  wantsJson,
} from './command.ts';
import type { CliIo } from './io.ts';
import { renderFields, renderJson } from './render.ts';

/** As `polaris node` will be given them. */
const KEYS: readonly SettingKey[] = ['id', 'dataDir', 'listen', 'advertise', 'insecure'];

export const clusterRestore: CliCommand = {
  command: 'restore <file>',
  describe: 'Make a new cluster of one voter from a backup, in an empty data directory',
  build: (parser) =>
    parser
      .positional('file', { type: 'string', describe: 'What cluster backup wrote', demandOption: true })
      .options({
        above: {
          type: 'string',
          requiresArg: true,
          describe: 'Where a cluster restored from this file before stood last',
        },
        ...outputOption(),
        ...settingOptions(KEYS),
      })
      .example('$0 cluster restore FILE --id n1 --data-dir /var/lib/polaris', 'then: polaris node with the same flags'),
  async run(io, args) {
    const file = positionalOf(args, 'file');
    const settings = settingsOf(io, args);
    // What else the environment says is for the node that will run here, and has no meaning before it does.
    const wanted = Object.fromEntries(
      KEYS.flatMap((key) => (settings[key] === undefined ? [] : [[key, settings[key]]])),
    );
    const { id, listen, advertise, dataDir } = nodeProcessConfig(wanted, { cores: 1 });
    const address = reachedAt(advertise ?? listen);
    const { readBackup, writeNewDataDir } = await import('./new-data-dir.ts');
    const backup = readBackup(file);
    const target = { id, address, clusterId: uuidv4(), above: indexOf(args) };
    const { index, jobs, paused } = await writeNewDataDir(dataDir, backup, target);
    const made = { from: backup.clusterId, clusterId: target.clusterId, id, address, dataDir, index, jobs, paused };
    io.stdout.write(wantsJson(args) ? renderJson(made) : renderMade(made));
    tellHowToGoOn(io, { id, listen, dataDir, paused });
    if (args['above'] === undefined) tellOfTwins(io);
    return 0;
  },
};

function indexOf(args: CliArguments): LogIndex {
  const above = pointOf(args, 'above') ?? 0;
  if (above >= 0) return above;
  throw new PolarisError('USAGE', '--above must be the index of a log, as cluster status shows it');
}

/** Members that join dial this address, so it must be the real one. */
function reachedAt(address: Address): Address {
  if (splitAddress(address).port > 0) return address;
  throw new PolarisError(
    'USAGE',
    'others must know where to reach this node: give --listen or --advertise with its port',
  );
}

interface Made {
  readonly from: string;
  readonly clusterId: string;
  readonly id: string;
  readonly address: Address;
  readonly dataDir: string;
  readonly index: number;
  readonly jobs: number;
  readonly paused: number;
}

function renderMade({ from, clusterId, id, address, dataDir, index, jobs, paused }: Made): string {
  return renderFields([
    ['cluster', clusterId],
    ['restored from', from],
    ['voter', `${id} at ${address}`],
    ['data directory', dataDir],
    ['index', String(index)],
    ['jobs', `${jobs}, ${paused} of them paused`],
  ]);
}

function tellHowToGoOn(io: CliIo, next: { id: string; listen: Address; dataDir: string; paused: number }): void {
  io.stderr.write(`Start it: polaris node --id ${next.id} --listen ${next.listen} --data-dir ${next.dataDir}\n`);
  if (next.paused === 0) return;
  io.stderr.write('Nothing runs before it is resumed: polaris job list --state paused, polaris job resume ID\n');
}

function tellOfTwins(io: CliIo): void {
  const twins =
    'Another restore of this backup gives the same epochs again, and no fence can tell the two clusters apart';
  io.stderr.write(`${twins}: give it --above INDEX, with the largest commit index of this one in cluster status\n`);
}
