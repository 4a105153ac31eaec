/**
 * The command line: noun, then verb. yargs parses; each command is a file beside this one; what goes wrong is one line
 * on stderr with the code of the error table, and that row's exit code.
 */
import yargs, { type Argv } from 'yargs';
import { InvariantError } from '../base/assert.ts';
import { ERRORS, errorText, PolarisError } from '../base/errors.ts';
import { chaos } from './chaos.ts';
import { clusterBackup } from './cluster-backup.ts';
import { clusterAdd, clusterPromote, clusterRemove, clusterTransfer } from './cluster-members.ts';
import { clusterRestore } from './cluster-restore.ts';
import { clusterStatus } from './cluster-status.ts';
import { type CliArguments, type CliCommand, dashesWrittenOut } from './command.ts';
import { datasetGet } from './dataset-get.ts';
import { datasetList, datasetPin, datasetRemove, datasetShow, datasetUnpin } from './dataset-list.ts';
import { datasetPut } from './dataset-put.ts';
import { dev } from './dev.ts';
import type { CliIo } from './io.ts';
import { jobCancel, jobPause, jobResume } from './job-control.ts';
import { jobFailures } from './job-failures.ts';
import { jobList } from './job-list.ts';
import { jobResult } from './job-result.ts';
import { jobRetry } from './job-retry.ts';
import { jobSet } from './job-set.ts';
import { jobShow } from './job-show.ts';
import { jobSubmit } from './job-submit.ts';
import { jobVerify } from './job-verify.ts';
import { jobWait } from './job-wait.ts';
import { jobWatch } from './job-watch.ts';
import { node } from './node.ts';
import { query } from './query.ts';
import { plainText } from './render.ts';
import { scheduleList, schedulePut, scheduleRemove } from './schedules.ts';
import { packageVersion } from './version.ts';
import { workerDrain, workerList } from './workers.ts';

const TOP: readonly CliCommand[] = [node, dev, query, chaos];
const NOUNS: readonly { readonly noun: string; readonly describe: string; readonly verbs: readonly CliCommand[] }[] = [
  {
    noun: 'job',
    describe: 'Submit and follow jobs',
    verbs: [
      ...[jobSubmit, jobList, jobShow, jobWatch, jobWait, jobPause, jobResume, jobCancel],
      ...[jobRetry, jobSet, jobFailures, jobVerify, jobResult],
    ],
  },
  {
    noun: 'schedule',
    describe: 'Submit jobs again and again',
    verbs: [schedulePut, scheduleList, scheduleRemove],
  },
  {
    noun: 'dataset',
    describe: 'Store, read and drop named data',
    verbs: [datasetPut, datasetGet, datasetList, datasetShow, datasetRemove, datasetPin, datasetUnpin],
  },
  { noun: 'worker', describe: 'See who works, and let a worker rest', verbs: [workerList, workerDrain] },
  {
    noun: 'cluster',
    describe: 'Look at the cluster, change its members, back it up and restore it',
    verbs: [clusterStatus, clusterAdd, clusterRemove, clusterPromote, clusterTransfer, clusterBackup, clusterRestore],
  },
];

const EXIT_CODES = [
  'Exit codes: 0 ok, 1 failed, 2 usage, 3 finished with failed ranges, 4 not allowed, 5 no leader, 6 timed out,',
  '70 invariant broken.',
].join(' ');
const HELP_WIDTH_MAX = 120;

/** Runs one command line and gives its exit code. Never throws. */
export async function main(argv: readonly string[], io: CliIo): Promise<number> {
  const result = { exit: 0 };
  try {
    const parser = createParser(io, (command, args) =>
      command.run(io, args).then((exit) => {
        result.exit = exit;
      }),
    );
    // With a callback, yargs hands over help and version instead of printing them.
    await parser.parseAsync(dashesWrittenOut(argv), {}, (_error: unknown, _args: unknown, output: string) => {
      if (output !== '') io.stdout.write(`${output}\n`);
    });
    return result.exit;
  } catch (thrown) {
    return report(io, thrown);
  }
}

/** The word that is typed. */
function nameOf(entry: CliCommand | (typeof NOUNS)[number]): string {
  return 'noun' in entry ? entry.noun : (entry.command.split(' ')[0] ?? '');
}

type Run = (command: CliCommand, args: CliArguments) => Promise<void>;

/** Parses a command line as `main` does, and hands the command that it names to `run`. */
export function createParser(io: Pick<CliIo, 'stdout'>, run: Run): Argv {
  const parser = yargs([])
    .scriptName('polaris')
    .usage('$0 <command>\n\nRuns jobs that are ranges of integers, and proves that every integer was worked.')
    .parserConfiguration({ 'populate--': true, 'parse-numbers': false, 'parse-positional-numbers': false })
    .locale('en')
    .wrap(Math.min(HELP_WIDTH_MAX, io.stdout.columns ?? HELP_WIDTH_MAX))
    .exitProcess(false)
    .strict()
    .recommendCommands()
    .demandCommand(1, `Which of ${[...TOP, ...NOUNS].map(nameOf).join(', ')}?`)
    .version(packageVersion())
    .help()
    .alias('help', 'h')
    .completion('completion', 'Print a script that completes commands: add it to ~/.bashrc')
    .example('$0 dev', 'a cluster of three on this machine')
    .example('$0 job submit exec --start 0 --end 100 --wait -- echo {start} {end}', 'a job, to its end')
    .epilogue(EXIT_CODES)
    .fail((message, error) => {
      throw error ?? new PolarisError('USAGE', message);
    });
  for (const command of TOP) addCommand(parser, command, run);
  for (const { noun, describe, verbs } of NOUNS) {
    parser.command(noun, describe, (sub) => {
      for (const verb of verbs) addCommand(sub, verb, run);
      return sub.demandCommand(1, `Which of ${verbs.map(nameOf).join(', ')}?`);
    });
  }
  return parser;
}

function addCommand(parser: Argv, command: CliCommand, run: Run): void {
  parser.command(
    command.command,
    command.describe,
    (sub) => command.build(sub).updateStrings(stringsFor(command)),
    (args) => run(command, args),
  );
}

/** What yargs says of a mistake, in words that name it. */
function stringsFor(command: CliCommand): { [text: string]: string } {
  const missing = `Missing: ${/<\w+>/.exec(command.command)?.[0] ?? 'an argument'}`;
  const strings = {
    'Not enough non-option arguments: got %s, need at least %s': { one: missing, other: missing },
    'Not enough arguments following: %s': '--%s needs a value',
  };
  // Texts with a plural are pairs, which the types of yargs leave out.
  return strings as object as { [text: string]: string };
}

/** One line that says what happened, and where the table knows more, one that says what to do. */
function report(io: CliIo, thrown: unknown): number {
  if (thrown instanceof PolarisError) {
    // One line, and none that moves the cursor: a detail may quote what somebody else wrote.
    io.stderr.write(`polaris: ${thrown.code}: ${plainText(thrown.detail)}\n`);
    const { text, exit } = ERRORS[thrown.code];
    if (text !== thrown.detail) io.stderr.write(`  ${text}\n`);
    return exit;
  }
  // yargs has a class of its own for what a user mistyped.
  if (thrown instanceof Error && thrown.name === 'YError') return report(io, new PolarisError('USAGE', thrown.message));
  const kind = thrown instanceof InvariantError ? 'invariant broken: ' : '';
  io.stderr.write(`polaris: INTERNAL: ${kind}${errorText(thrown)}\n`);
  if (thrown instanceof Error && thrown.stack !== undefined) io.stderr.write(`${thrown.stack}\n`);
  return ERRORS.INTERNAL.exit;
}
