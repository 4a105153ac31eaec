/**
 * polaris dataset get NAME [FILE|-]: a dataset as a file, or on stdout.
 *
 * A file appears in its place only when all of it is there. stdout has no such second step: whoever reads from it knows by
 * the exit code whether it was all.
 */
import { CLIENT_KEYS } from '../base/config.ts';
import { FORMAT_NAMES } from '../base/media-types.ts';
import { type CliCommand, clientOf, positionalOf, STDOUT_FILE, settingOptions, textOf } from './command.ts';
import { mediaTypeOf, targetFormat } from './dataset-formats.ts';
import { createTransferView, SILENT, type TransferView } from './dataset-progress.ts';
import { type Output, writeAll } from './io.ts';

export const datasetGet: CliCommand = {
  command: 'get <name> [file]',
  describe: 'Write a dataset to a file, or to stdout',
  build: (parser) =>
    parser
      .positional('name', { type: 'string', describe: 'Name of the dataset', demandOption: true })
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
        ...settingOptions(CLIENT_KEYS),
      })
      .example('$0 dataset get words words.parquet', 'the format is that of the ending')
      .example('$0 dataset get words -o csv | head', 'text on stdout'),
  async run(io, args) {
    const name = positionalOf(args, 'name');
    const file = textOf(args, 'file') ?? STDOUT_FILE;
    const isTerminal = io.stdout.isTTY === true;
    const accept = mediaTypeOf(targetFormat(args, file, isTerminal));
    const { datasets } = await clientOf(io, args);
    const { body, rows } = await datasets.get(name, { accept });
    // What is shown on a terminal is its own progress.
    const view = file === STDOUT_FILE && isTerminal ? SILENT : createTransferView(io, name, null);
    try {
      await writeOut(io.stdout, file, body, view);
      view.end(rows);
      return 0;
    } catch (thrown) {
      view.end(null);
      throw thrown;
    }
  },
};

/** To stdout as it comes, or to a file that is there once all of it is. */
export async function writeOut(
  stdout: Output,
  file: string,
  body: AsyncIterable<Uint8Array>,
  view: TransferView,
): Promise<void> {
  const bytes = counted(body, view);
  if (file === STDOUT_FILE) return writeAll(stdout, bytes);
  const { writeWholeStream } = await import('./whole-file.ts');
  return writeWholeStream(file, bytes);
}

async function* counted(body: AsyncIterable<Uint8Array>, view: TransferView): AsyncGenerator<Uint8Array> {
  let bytes = 0;
  for await (const chunk of body) {
    bytes += chunk.length;
    view.show(bytes);
    yield chunk;
  }
}
