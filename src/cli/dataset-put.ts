/**
 * polaris dataset put NAME FILE|-: a file, or stdin, under a name. stdout gets the new version alone, for the
 * --if-version of whoever changes it next.
 */
import { createReadStream, statSync } from 'node:fs';
import { CLIENT_KEYS } from '../base/config.ts';
import { errorText, PolarisError } from '../base/errors.ts';
import { FORMAT_NAMES } from '../base/media-types.ts';
import type { IfVersion } from '../client/datasets.ts';
import type { DataSource } from '../client/upload.ts';
import {
  type CliArguments,
  type CliCommand,
  clientOf,
  durationOf,
  outputOption,
  positionalOf,
  STDOUT_FILE,
  settingOptions,
  textOf,
  wantsJson,
} from './command.ts';
import { mediaTypeOf, sourceFormat } from './dataset-formats.ts';
import { createTransferView } from './dataset-progress.ts';
import type { CliIo } from './io.ts';
import { renderJson } from './render.ts';

export const datasetPut: CliCommand = {
  command: 'put <name> <file>',
  describe: 'Store a file under a name, in place of what has it; - is stdin',
  build: (parser) =>
    parser
      .positional('name', { type: 'string', describe: 'Name of the dataset', demandOption: true })
      .positional('file', { type: 'string', describe: 'File to store, or -', demandOption: true })
      .options({
        type: {
          choices: FORMAT_NAMES,
          describe: 'Format of the file',
          defaultDescription: "by the file's ending",
        },
        types: {
          type: 'string',
          requiresArg: true,
          describe: 'Types of columns where the format has none: column:type,…',
        },
        ttl: { type: 'string', requiresArg: true, describe: 'Drop it after so long: 30m, 2h, 7d' },
        pin: { type: 'boolean', default: false, describe: 'Keep it whatever --ttl says' },
        'if-version': {
          type: 'string',
          requiresArg: true,
          describe: 'Only if this is its version; none: only if there is no such dataset',
        },
        ...outputOption(),
        ...settingOptions(CLIENT_KEYS),
      })
      .example('$0 dataset put words words.csv --ttl 7d', 'and the version on stdout'),
  async run(io, args) {
    const name = positionalOf(args, 'name');
    const file = positionalOf(args, 'file');
    const contentType = mediaTypeOf(sourceFormat(args, file));
    const ttlMs = durationOf(args, 'ttl');
    const types = textOf(args, 'types');
    const ifVersion = ifVersionOf(args);
    const { source, bytes } = openSource(io, file);
    const { datasets } = await clientOf(io, args);
    const view = createTransferView(io, name, bytes);
    try {
      const dataset = await datasets.put(name, source, {
        ...{ contentType, onProgress: view.show, pinned: args['pin'] === true },
        ...(ttlMs === null ? {} : { ttlMs }),
        ...(types === null ? {} : { types }),
        ...(ifVersion === null ? {} : { ifVersion }),
      });
      view.end(dataset.handle.rows);
      io.stdout.write(wantsJson(args) ? renderJson(dataset) : `${dataset.version}\n`);
      return 0;
    } catch (thrown) {
      view.end(null);
      if (thrown instanceof PolarisError) throw thrown;
      throw new PolarisError('FILE_FAILED', `${file} cannot be read: ${errorText(thrown)}`, { cause: thrown });
    }
  },
};

/** Null when the option is not given. @throws PolarisError USAGE */
export function ifVersionOf(args: CliArguments): IfVersion | null {
  const text = textOf(args, 'if-version');
  if (text === null || text === 'none') return text;
  const version = Number(text);
  if (/^[1-9]\d{0,15}$/.test(text) && Number.isSafeInteger(version)) return version;
  throw new PolarisError('USAGE', `--if-version must be a version such as 17, or none, not "${text}"`);
}

/** A file is read anew for each try; stdin can be read once. @throws PolarisError FILE_FAILED */
function openSource(io: CliIo, file: string): { source: DataSource; bytes: number | null } {
  if (file === STDOUT_FILE) return { source: io.stdin(), bytes: null };
  try {
    const stat = statSync(file);
    if (stat.isDirectory()) throw new Error('it is a directory');
    // What is no plain file, such as a pipe, can be read once and has no size before.
    if (!stat.isFile()) return { source: createReadStream(file), bytes: null };
    return { source: () => createReadStream(file), bytes: stat.size };
  } catch (cause) {
    throw new PolarisError('FILE_FAILED', `${file} cannot be read: ${errorText(cause)}`, { cause });
  }
}
