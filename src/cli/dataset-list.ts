/**
 * polaris dataset list|show|rm|pin|unpin.
 */
import { CLIENT_KEYS } from '../base/config.ts';
import { PolarisError } from '../base/errors.ts';
import type { DatasetJson } from '../http/datasets.ts';
import { type CliCommand, clientOf, outputOption, positionalOf, settingOptions, wantsJson } from './command.ts';
import { renderBytes } from './dataset-progress.ts';
import { ifVersionOf } from './dataset-put.ts';
import type { CliClient } from './io.ts';
import { renderFields, renderJson, renderSeconds, renderTable } from './render.ts';

const NAME = { type: 'string', describe: 'Name of the dataset', demandOption: true } as const;

export const datasetList: CliCommand = {
  command: 'list',
  describe: 'List datasets in the order of their names',
  build: (parser) => parser.options({ ...outputOption(), ...settingOptions(CLIENT_KEYS) }),
  async run(io, args) {
    const datasets = await (await clientOf(io, args)).datasets.list();
    const header = ['name', 'rows', 'size', 'version', 'age', 'expires', 'pinned'];
    const rows = datasets.map((dataset) => row(dataset, io.now()));
    io.stdout.write(wantsJson(args) ? renderJson({ datasets }) : renderTable(header, rows));
    return 0;
  },
};

export const datasetShow: CliCommand = {
  command: 'show <name>',
  describe: 'Show what is known of a dataset, without its rows',
  build: (parser) => parser.positional('name', NAME).options({ ...outputOption(), ...settingOptions(CLIENT_KEYS) }),
  async run(io, args) {
    const dataset = await (await clientOf(io, args)).datasets.info(positionalOf(args, 'name'));
    io.stdout.write(wantsJson(args) ? renderJson(dataset) : renderFields(fields(dataset)));
    return 0;
  },
};

export const datasetRemove: CliCommand = {
  command: 'rm <name>',
  describe: 'Drop a dataset; its bytes go once nothing else names them',
  build: (parser) =>
    parser.positional('name', NAME).options({
      'if-version': { type: 'string', requiresArg: true, describe: 'Only if this is its version' },
      ...settingOptions(CLIENT_KEYS),
    }),
  async run(io, args) {
    const name = positionalOf(args, 'name');
    const ifVersion = ifVersionOf(args);
    if (ifVersion === 'none') throw new PolarisError('USAGE', 'what is not there cannot be dropped');
    await (await clientOf(io, args)).datasets.drop(name, ifVersion === null ? {} : { ifVersion });
    io.stdout.write(`${name} removed\n`);
    return 0;
  },
};

export const datasetPin = pinning('pin', 'Keep a dataset whatever its time to live says', (client, name) =>
  client.datasets.pin(name),
);
export const datasetUnpin = pinning('unpin', 'Let the time to live of a dataset count again', (client, name) =>
  client.datasets.unpin(name),
);

function pinning(
  verb: string,
  describe: string,
  change: (client: CliClient, name: string) => Promise<DatasetJson>,
): CliCommand {
  return {
    command: `${verb} <name>`,
    describe,
    build: (parser) => parser.positional('name', NAME).options({ ...outputOption(), ...settingOptions(CLIENT_KEYS) }),
    async run(io, args) {
      const dataset = await change(await clientOf(io, args), positionalOf(args, 'name'));
      io.stdout.write(wantsJson(args) ? renderJson(dataset) : `${dataset.name} ${verb}ned\n`);
      return 0;
    },
  };
}

function row({ name, handle, version, putAt, expiresAt, pinned }: DatasetJson, now: number): readonly string[] {
  const age = renderSeconds((now - Date.parse(putAt)) / 1_000);
  const expires = expiresAt === null ? 'never' : `in ${renderSeconds((Date.parse(expiresAt) - now) / 1_000)}`;
  const counts = [String(handle.rows), renderBytes(handle.bytes), String(version)];
  return [name, ...counts, age, expires, pinned ? 'yes' : 'no'];
}

function fields({ name, handle, version, putAt, ttlMs, expiresAt, pinned }: DatasetJson) {
  return [
    ['name', name],
    ['version', String(version)],
    ['rows', String(handle.rows)],
    ['bytes', String(handle.bytes)],
    ['hash', handle.hash],
    ['schema', handle.schema],
    ['put', putAt],
    ['ttl', ttlMs === null ? 'none' : renderSeconds(ttlMs / 1_000)],
    ['expires', expiresAt ?? 'never'],
    ['pinned', pinned ? 'yes' : 'no'],
  ] as const;
}
