/**
 * polaris job result ID [FILE|-]: what a job has made, as a file or on stdout.
 *
 * It may be asked for while the job runs: then what is there is written, and the exit code says that it is not all. With
 * --follow it waits for the rest, and writes what comes in the meantime. A file appears in its place only when everything
 * that was to be written is there.
 */
import { CLIENT_KEYS } from '../base/config.ts';
import { ERRORS, PolarisError } from '../base/errors.ts';
import { FORMAT_NAMES, type FormatName } from '../base/media-types.ts';
import type { ResultContent } from '../client/results.ts';
import type { BatchSource } from '../data/sources.ts';
import {
  type CliArguments,
  type CliCommand,
  clientOf,
  positionalOf,
  STDOUT_FILE,
  settingOptions,
  textOf,
} from './command.ts';
import { mediaTypeOf, targetFormat } from './dataset-formats.ts';
import { writeOut } from './dataset-get.ts';
import { createTransferView, SILENT } from './dataset-progress.ts';
import { EXIT_INTERRUPTED } from './finish.ts';
import type { CliIo } from './io.ts';
import { parseRange } from './job-retry.ts';

export const jobResult: CliCommand = {
  command: 'result <id> [file]',
  describe: 'Write what a job has made to a file, or to stdout',
  build: (parser) =>
    parser
      .positional('id', { type: 'string', describe: 'Id of the job, shortened or whole', demandOption: true })
      .positional('file', {
        type: 'string',
        describe: 'File to write, replaced once the new one is whole; - is stdout',
        defaultDescription: '-',
      })
      .options({
        output: {
          alias: 'o',
          choices: FORMAT_NAMES,
          describe: 'Format to write',
          defaultDescription: "by the file's ending; csv on a terminal, else arrow",
        },
        follow: { type: 'boolean', default: false, describe: 'Wait for the rest, writing what comes' },
        range: { type: 'string', requiresArg: true, describe: 'A:B: only what points from A to before B made' },
        ...settingOptions(CLIENT_KEYS),
      })
      .example('$0 job result 0b5b words.parquet', 'the format is that of the ending')
      .example('$0 job result 0b5b --follow -o jsonl', 'rows as they are committed'),
  async run(io, args) {
    const file = textOf(args, 'file') ?? STDOUT_FILE;
    const format = targetFormat(args, file, io.stdout.isTTY === true);
    const { signal, release } = io.interruptible();
    try {
      return await give(io, args, { file, format, signal });
    } catch (thrown) {
      if (signal.aborted) return EXIT_INTERRUPTED;
      throw thrown;
    } finally {
      release();
    }
  },
};

interface Target {
  readonly file: string;
  readonly format: FormatName;
  readonly signal: AbortSignal;
}

async function give(io: CliIo, args: CliArguments, { file, format, signal }: Target): Promise<number> {
  const id = positionalOf(args, 'id');
  const follow = args['follow'] === true;
  const text = textOf(args, 'range');
  const range = text === null ? {} : { range: parseRange(text) };
  const { results } = await clientOf(io, args);
  if (!follow) {
    const content = await results.get(id, { accept: mediaTypeOf(format), signal, ...range });
    await shown(io, file, content, content.body);
    return exitOf(io, content);
  }
  const { job } = await results.info(id, { signal });
  // Of all formats a stream of Arrow alone says now and then that it lives; so the others are made here.
  const batches = results.loadStream(job, { follow: true, beats: true, signal, ...range });
  await shown(io, file, { job, rows: null }, await formed(batches, format));
  return 0;
}

/** Writes it, and how far that is where nobody sees the bytes themselves. */
async function shown(
  io: CliIo,
  file: string,
  { job, rows }: Pick<ResultContent, 'job' | 'rows'>,
  body: AsyncIterable<Uint8Array>,
): Promise<void> {
  const isShown = file === STDOUT_FILE && io.stdout.isTTY === true;
  const view = isShown ? SILENT : createTransferView(io, job, null);
  try {
    await writeOut(io.stdout, file, body, view);
    view.end(rows);
  } catch (thrown) {
    view.end(null);
    throw thrown;
  }
}

/** Not all of it is no success for whoever goes on with it. */
function exitOf({ stderr }: CliIo, { complete, job, state }: ResultContent): number {
  if (complete !== false) return 0;
  stderr.write(
    `The job is ${state}: this is not all of its result. polaris job result ${job} --follow waits for the rest\n`,
  );
  return ERRORS.FAILED_RANGES.exit;
}

async function formed(batches: BatchSource, format: FormatName): Promise<AsyncIterable<Uint8Array>> {
  if (format === 'arrow') {
    const { writeArrowStream } = await import('../data/arrow-stream.ts');
    return writeArrowStream(batches, undefined, { keepsEmpty: true });
  }
  const { formatNamed } = await import('../data/formats.ts');
  const write = formatNamed(format)?.write;
  if (write == null) throw new PolarisError('NOT_ACCEPTABLE', `${format} is read only`);
  return write(batches);
}
