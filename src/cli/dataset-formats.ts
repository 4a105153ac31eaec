/**
 * Formats of datasets on the command line: by their names, or by the ending of a file.
 */
import { extname } from 'node:path';
import { PolarisError } from '../base/errors.ts';
import { FORMAT_NAMES, type FormatName, MEDIA_TYPES } from '../base/media-types.ts';
import { type CliArguments, STDOUT_FILE, textOf } from './command.ts';

const ENDINGS: { readonly [ending: string]: FormatName } = {
  '.arrows': 'arrow',
  '.arrow': 'arrow-file',
  '.feather': 'arrow-file',
  '.csv': 'csv',
  '.jsonl': 'jsonl',
  '.ndjson': 'jsonl',
  '.parquet': 'parquet',
  '.txt': 'text',
  '.log': 'text',
};
const BINARY: readonly FormatName[] = ['arrow', 'arrow-file', 'parquet'];

/** Of the option, else of the file's ending; null where neither says. */
export function formatOf(args: CliArguments, option: string, file: string): FormatName | null {
  const name = textOf(args, option);
  if (name !== null) return FORMAT_NAMES.find((known) => known === name) ?? refuse(option, name);
  return file === STDOUT_FILE ? null : (ENDINGS[extname(file).toLowerCase()] ?? null);
}

/** Of what is put, which must be known. @throws PolarisError USAGE */
export function sourceFormat(args: CliArguments, file: string): FormatName {
  const format = formatOf(args, 'type', file);
  if (format !== null) return format;
  const what = file === STDOUT_FILE ? 'stdin has no ending' : `the ending of ${file} is that of no format`;
  throw new PolarisError('USAGE', `${what}; say with --type which it is: ${FORMAT_NAMES.join(', ')}`);
}

/** A person reads CSV, a program Arrow. @throws PolarisError USAGE for what would only harm a terminal */
export function targetFormat(args: CliArguments, file: string, isTerminal: boolean): FormatName {
  const asked = formatOf(args, 'output', file);
  if (file !== STDOUT_FILE || !isTerminal) return asked ?? 'arrow';
  if (asked === null) return 'csv';
  if (!BINARY.includes(asked)) return asked;
  throw new PolarisError('USAGE', `${asked} is no text for a terminal; name a file, send stdout to one, or say -o csv`);
}

export function mediaTypeOf(format: FormatName): string {
  return MEDIA_TYPES[format];
}

function refuse(option: string, name: string): never {
  throw new PolarisError('USAGE', `--${option} must be one of ${FORMAT_NAMES.join(', ')}, not "${name}"`);
}
