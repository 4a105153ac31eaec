/**
 * polaris query SQL [FILE|-]: the answer as a table for a person, or in any format of datasets.
 *
 * A table is aligned, so its rows are held until the last of them is there; that is done for so many as somebody reads, and
 * the rest is counted on stderr. All other formats stream. With --job the same is asked of ranges of rows on all workers.
 */
import { CLIENT_KEYS } from '../base/config.ts';
import { PolarisError } from '../base/errors.ts';
import { QUERY_TABLE_ROWS_MAX } from '../base/limits-query.ts';
import { FORMAT_NAMES, MEDIA_TYPES } from '../base/media-types.ts';
import type { Content } from '../client/download.ts';
import type { PlanJson } from '../http/query.ts';
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
import { waitForJob } from './finish.ts';
import { type CliClient, type CliIo, colours, writeAll } from './io.ts';
import { createProgressView } from './progress.ts';
import { renderFields, renderJson, renderTable } from './render.ts';

const OWN_FORMATS = ['table', 'json'] as const;
const FORMATS = [...OWN_FORMATS, ...FORMAT_NAMES.filter((name) => name !== 'text')];

export const query: CliCommand = {
  command: 'query <sql> [file]',
  describe: 'Ask datasets in SQL',
  build: (parser) =>
    parser
      .positional('sql', {
        type: 'string',
        describe: 'A SELECT over datasets; - reads it from stdin',
        demandOption: true,
      })
      .positional('file', {
        type: 'string',
        describe: 'File to write, replaced once the new one is whole; - is stdout',
        defaultDescription: '-',
      })
      .options({
        output: {
          alias: 'o',
          choices: FORMATS,
          describe: 'Form of the answer',
          defaultDescription: "by the file's ending; table on a terminal, else arrow",
        },
        plan: { type: 'boolean', default: false, describe: 'Say what would run where, and run nothing' },
        job: { type: 'boolean', default: false, describe: 'Ask ranges of rows, as a job, and wait for it' },
        ...settingOptions(CLIENT_KEYS),
      })
      .example('$0 query "SELECT region, sum(amount) AS total FROM trades GROUP BY region"', 'a table on a terminal')
      .example('$0 query "SELECT * FROM trades WHERE amount > 100" large.parquet', 'the format is that of the ending'),
  async run(io, args) {
    if (args['plan'] === true && args['job'] === true) {
      throw new PolarisError('USAGE', '--plan runs nothing, and --job runs it: say one of them');
    }
    const sql = await sqlOf(io, args);
    const file = textOf(args, 'file') ?? STDOUT_FILE;
    const client = await clientOf(io, args);
    const { signal, release } = io.interruptible();
    try {
      if (args['plan'] === true) {
        const plan = await client.queries.explain(sql, { signal });
        io.stdout.write(textOf(args, 'output') === 'json' ? renderJson(plan) : planText(plan));
        return 0;
      }
      const wanted = { sql, file, form: formOf(io, args, file), signal };
      if (args['job'] === true) return await askRanges(io, client, wanted);
      await give(io, wanted, await client.queries.get(sql, { accept: acceptOf(wanted), signal }));
      return 0;
    } finally {
      release();
    }
  },
};

async function sqlOf(io: CliIo, args: CliArguments): Promise<string> {
  const sql = positionalOf(args, 'sql');
  if (sql !== STDOUT_FILE) return sql;
  const chunks: Uint8Array[] = [];
  for await (const chunk of io.stdin()) chunks.push(chunk);
  return Buffer.concat(chunks).toString('utf8');
}

/** One of ours, or a media type. @throws PolarisError USAGE */
function formOf(io: CliIo, args: CliArguments, file: string): string {
  const asked = textOf(args, 'output');
  const own = OWN_FORMATS.find((form) => form === asked);
  if (own !== undefined) return own;
  const isTerminal = io.stdout.isTTY === true;
  if (asked === null && file === STDOUT_FILE && isTerminal) return 'table';
  return mediaTypeOf(targetFormat(args, file, isTerminal));
}

function planText({ datasets, plan, reason }: PlanJson): string {
  const read = datasets.map(({ name, version, rows, bytes }) => [name, String(version), String(rows), String(bytes)]);
  const tables = read.length === 0 ? '' : `${renderTable(['dataset', 'version', 'rows', 'bytes'], read)}\n`;
  if (plan === null) return `${tables}${renderFields([['runs', `as a whole, on one node: ${reason}`]])}`;
  return `${tables}${renderFields([
    ['runs', 'as a whole, on one node; with --job as a job over ranges of rows'],
    ['each range', plan.partial],
    ['their answers', plan.final],
  ])}`;
}

interface Wanted {
  readonly sql: string;
  readonly file: string;
  readonly form: string;
  readonly signal: AbortSignal;
}

interface Answer extends Content {
  readonly rows: number;
}

/** As a job of the type `query`. @throws PolarisError BAD_QUERY when it does not fall apart */
async function askRanges(io: CliIo, client: CliClient, wanted: Wanted): Promise<number> {
  const { sql, signal } = wanted;
  const { plan, reason } = await client.queries.explain(sql, { signal });
  if (plan === null)
    throw new PolarisError('BAD_QUERY', `this cannot be asked of ranges of rows: ${reason}; leave out --job`);
  const { dataset, partial, final } = plan;
  const { id } = await client.submit({ name: 'query', metadata: { dataset, partial, final } });
  const view = createProgressView(io.stderr, colours(io, io.stderr));
  const { exit } = await waitForJob(io, client, id, { timeoutMs: null, view });
  if (exit !== 0) return exit;
  const { rows, ...content } = await client.results.get(id, { accept: acceptOf(wanted), signal });
  await give(io, wanted, { ...content, rows: rows ?? 0 });
  return 0;
}

function acceptOf({ form }: Wanted): string {
  return form === 'table' ? MEDIA_TYPES.csv : form === 'json' ? MEDIA_TYPES.jsonl : form;
}

async function give(io: CliIo, { file, form }: Wanted, content: Answer): Promise<void> {
  const body = form === 'table' ? tableOf(io, content) : form === 'json' ? arrayOf(content) : content.body;
  if (file === STDOUT_FILE) return writeAll(io.stdout, body);
  const { writeWholeStream } = await import('./whole-file.ts');
  return writeWholeStream(file, body);
}

async function* tableOf(io: CliIo, { body, rows, cancel }: Answer): AsyncGenerator<Uint8Array> {
  const { readRecords } = await import('../data/csv-records.ts');
  const lines: (readonly string[])[] = [];
  for await (const records of readRecords(body)) {
    lines.push(...records.map(({ row }) => row));
    if (lines.length > QUERY_TABLE_ROWS_MAX) break;
  }
  await cancel();
  const [header, ...cells] = lines;
  if (header === undefined) throw new PolarisError('INTERNAL', 'the answer has no header');
  yield Buffer.from(renderTable(header, cells.slice(0, QUERY_TABLE_ROWS_MAX)));
  if (rows > QUERY_TABLE_ROWS_MAX) {
    io.stderr.write(`${QUERY_TABLE_ROWS_MAX} of ${rows} rows; all of them come with -o csv, or into a file\n`);
  }
}

/** Objects, one a line, as one array. The texts pass as they are, so that no integer loses a digit. */
async function* arrayOf({ body }: Answer): AsyncGenerator<Uint8Array> {
  const LF = 0x0a;
  const comma = Buffer.from(',\n');
  let isFirst = true;
  let pending = false;
  yield Buffer.from('[');
  for await (const chunk of body) {
    let from = 0;
    for (let end = chunk.indexOf(LF); end >= 0; end = chunk.indexOf(LF, from)) {
      yield* pending ? [] : [isFirst ? Buffer.from('\n') : comma];
      yield chunk.subarray(from, end);
      [from, isFirst, pending] = [end + 1, false, false];
    }
    if (from === chunk.length) continue;
    yield* pending ? [] : [isFirst ? Buffer.from('\n') : comma];
    yield chunk.subarray(from);
    [pending, isFirst] = [true, false];
  }
  yield Buffer.from('\n]\n');
}
