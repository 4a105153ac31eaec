/**
 * Command: the shape of one file of this folder, and how its arguments are read.
 *
 * yargs hands over every option as text and repeated ones as lists. What is wanted is read here, strictly, so that a
 * number that is none is a usage error and never NaN.
 */
import { readFileSync } from 'node:fs';
import type { Argv, Options } from 'yargs';
import {
  environmentName,
  resolveSettings,
  SETTING_KEYS,
  SETTINGS,
  type SettingKey,
  type Settings,
} from '../base/config.ts';
import { errorText, PolarisError } from '../base/errors.ts';
import type { CliClient, CliIo } from './io.ts';

export interface CliArguments {
  readonly [name: string]: unknown;
}

export interface CliCommand {
  /** As yargs wants it: name and positionals. */
  readonly command: string;
  readonly describe: string;
  readonly build: (parser: Argv) => Argv;
  /** The exit code. Throws a PolarisError for everything that its row describes. */
  readonly run: (io: CliIo, args: CliArguments) => Promise<number>;
}

/** The options of these settings, with their variables and defaults in the help. */
export function settingOptions(keys: readonly SettingKey[]): { readonly [flag: string]: Options } {
  const options: { [flag: string]: Options } = {
    config: { type: 'string', requiresArg: true, describe: 'JSON file of settings [POLARIS_CONFIG]' },
  };
  for (const key of keys) {
    const { kind, flag, text, defaultText } = SETTINGS[key];
    options[flag] = {
      ...(kind === 'switch' ? { type: 'boolean' } : { type: 'string', requiresArg: true }),
      describe: `${text} [${environmentName(key)}]`,
      defaultDescription: defaultText,
    };
  }
  return options;
}

export function outputOption(): { readonly output: Options } {
  return { output: { alias: 'o', choices: ['table', 'json'], default: 'table', describe: 'Form of the output' } };
}

export function settingsOf(io: CliIo, args: CliArguments): Settings {
  const path = textOf(args, 'config') ?? (io.environment['POLARIS_CONFIG'] || null);
  const flags = Object.fromEntries(SETTING_KEYS.map((key) => [key, args[SETTINGS[key].flag]]));
  return resolveSettings({
    flags,
    environment: io.environment,
    file: path === null ? null : { path, text: readText(path) },
  });
}

export function urlsOf(io: CliIo, args: CliArguments): readonly string[] {
  return (settingsOf(io, args).url as readonly string[] | undefined) ?? [SETTINGS.url.defaultText];
}

export function clientOf(io: CliIo, args: CliArguments): Promise<CliClient> {
  return io.connect(urlsOf(io, args));
}

export function wantsJson(args: CliArguments): boolean {
  return args['output'] === 'json';
}

/** The one value of an option, or null. */
export function textOf(args: CliArguments, name: string): string | null {
  const value = args[name];
  if (value === undefined) return null;
  if (typeof value === 'string') return value;
  throw new PolarisError('USAGE', `${name} may be given once only`);
}

/** A positional that yargs demanded. */
export function positionalOf(args: CliArguments, name: string): string {
  const text = textOf(args, name);
  if (text === null || text === '') throw new PolarisError('USAGE', `${name} is missing`);
  return text;
}

/** What a lone dash stands for where a file is wanted. */
export const STDOUT_FILE = '/dev/stdout';

/** yargs takes a lone dash for nothing at all, so it is written out before; what stands behind `--` is not ours. */
export function dashesWrittenOut(argv: readonly string[]): string[] {
  const ours = argv.includes('--') ? argv.indexOf('--') : argv.length;
  return argv.map((word, at) => (word === '-' && at < ours ? STDOUT_FILE : word));
}

/** An integer, underscores allowed between digits; exact, so it never reaches the server as a neighbour. */
export function pointOf(args: CliArguments, name: string): number | null {
  const text = textOf(args, name);
  if (text === null) return null;
  const digits = text.replaceAll('_', '');
  const value = Number(digits);
  if (/^[+-]?\d{1,20}$/.test(digits) && Number.isSafeInteger(value)) return value + 0;
  throw new PolarisError('BAD_RANGE', `--${name} must be an integer within ±(2^53-1), not "${text}"`);
}

const DURATION_MS: { readonly [unit: string]: number } = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 };

/** Milliseconds of `10m`, `1.5h`, `500ms`; null when the option is not given. */
export function durationOf(args: CliArguments, name: string): number | null {
  const text = textOf(args, name);
  if (text === null) return null;
  const match = /^(\d{1,9}(?:\.\d{1,3})?)(ms|s|m|h|d)$/.exec(text);
  const unitMs = DURATION_MS[match?.[2] ?? ''];
  if (match !== null && unitMs !== undefined) return Number(match[1]) * unitMs;
  throw new PolarisError('USAGE', `--${name} must be a duration such as 30s, 10m or 2h, not "${text}"`);
}

export function readText(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch (cause) {
    throw new PolarisError('USAGE', `cannot read ${path}: ${errorText(cause)}`, { cause });
  }
}
