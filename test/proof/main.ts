/**
 * `npm run proof`: the long campaigns, and docs/proof.md with what each gave, when, on which commit and machine, by which
 * command.
 *
 *   npm run proof [-- [--seeds 2000] [--only TITLE]…]
 *
 * A campaign is written down as soon as it has ended, so that a proof that is cut off keeps what it has; each part of the
 * page names its own commit. With `--only` the other parts stay as they are. A campaign that fails ends the proof, and the
 * page has no part of it any more.
 */
import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync, writeFileSync } from 'node:fs';
import { cpus, release, totalmem } from 'node:os';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));
const PAGE = fileURLToPath(new URL('../../docs/proof.md', import.meta.url));
const SEEDS_DEFAULT = '2000';
const HEAD = `# Proof

Written by \`npm run proof\`. A figure is here only because that command gave it; each part names its own commit.
`;

interface Campaign {
  readonly title: string;
  /** What it shows, one sentence. */
  readonly shows: string;
  readonly command: readonly string[];
  /** Lines from the end of its output that belong on the page. */
  readonly tailLines: number;
}

interface Outcome {
  readonly code: number;
  readonly seconds: number;
  readonly tail: string;
}

function campaigns(seeds: string): readonly Campaign[] {
  return [
    {
      title: 'The simulator',
      shows:
        'Whole clusters in virtual time under message loss, delay, reordering, duplication, partitions, crashes that lose unsynced writes, pauses and disk failures: every invariant at every step, and every job finished in the end. Counted is what fired.',
      command: ['npx', 'tsx', 'test/sim/main.ts', '--seeds', seeds],
      tailLines: 80,
    },
    {
      title: 'Same seed, same trace',
      shows: 'The same seeds give the same traces on two runs and on every supported version of Node.',
      command: ['npx', 'tsx', 'test/proof/node-versions.ts'],
      tailLines: 6,
    },
    {
      title: 'Mutants',
      shows: 'The classic bugs of Raft implementations, put back one at a time: each must be caught.',
      command: ['npx', 'tsx', 'test/mutants/main.ts'],
      tailLines: 45,
    },
    {
      title: 'A follower that was away for 100,000 entries',
      shows: 'It comes back by snapshot; the ratio is that of the p99 of commits meanwhile to that of quiet ones.',
      command: ['npx', 'tsx', 'test/proof/catch-up.ts', '5'],
      tailLines: 6,
    },
    {
      title: '1 GiB through a cluster',
      shows:
        'A dataset of 1 GiB goes in and comes out while small jobs are committed: the peak of resident memory of each node, which must stay under 512 MiB, and the ratio of the p99 of commits meanwhile to that of quiet ones (goal: under 3). Everything shares one machine.',
      command: ['npx', 'tsx', 'test/proof/large-data.ts', '5'],
      tailLines: 32,
    },
    {
      title: 'Jobs with data',
      shows:
        'Words of 50 MB of real text counted by one to eight workers, while a worker and the leader are killed, one joins and one drains; and hashes of files that are followed while they are made.',
      command: ['npx', 'tsx', 'test/proof/data-jobs.ts'],
      tailLines: 11,
    },
    {
      title: 'The chaos test',
      shows:
        'Real processes crashed on schedule, each delivery held against what stands in the sink. The table is in [chaos.md](chaos.md), each run with its commit and its day; those that are recorded are not made again.',
      command: ['npx', 'tsx', 'test/proof/chaos.ts', '--go-on', '--at-once', '1', '--real-time'],
      tailLines: 3,
    },
    {
      title: 'The main job',
      shows:
        'Real files, three real nodes, kill -9 of a worker and of the leader, compared with a plain single process.',
      command: ['node', 'dist/chaos/demo.js'],
      tailLines: 12,
    },
  ];
}

async function run(campaign: Campaign): Promise<Outcome> {
  const startedAt = performance.now();
  const [program = '', ...args] = campaign.command;
  const child = spawn(program, args, { cwd: ROOT, stdio: ['ignore', 'pipe', 'inherit'] });
  let output = '';
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    process.stdout.write(text);
    output += text;
  });
  const [code] = (await once(child, 'close')) as [number | null];
  const lines = output.trimEnd().split('\n');
  return {
    code: code ?? 1,
    seconds: Math.round((performance.now() - startedAt) / 1_000),
    tail: lines.slice(-campaign.tailLines).join('\n'),
  };
}

function git(...args: string[]): string {
  return execFileSync('git', args, { cwd: ROOT, encoding: 'utf8' }).trim();
}

/** Where and of what a campaign was run; changes that it made to the docs itself do not count. */
function origin(): string {
  const changed =
    git('status', '--porcelain', '--', '.', ':!docs') === '' ? '' : ', with changes that are not committed';
  const machine = `${cpus().length} cores (${cpus()[0]?.model.trim() ?? 'unknown'}), ${Math.round(totalmem() / 2 ** 30)} GiB, Linux ${release()}, Node ${process.version}`;
  return `${new Date().toISOString().slice(0, 10)}, commit ${git('rev-parse', 'HEAD')}${changed}; ${machine}`;
}

function section(campaign: Campaign, outcome: Outcome): string {
  const head = `## ${campaign.title}\n\n${campaign.shows}\n\n\`${campaign.command.join(' ')}\`, ${outcome.seconds} s, on ${origin()}:\n`;
  return `${head}\n\`\`\`text\n${outcome.tail}\n\`\`\`\n`;
}

/** The parts of the page, by title. */
function readPage(): Map<string, string> {
  const [, ...parts] = readFileSync(PAGE, 'utf8').split(/^(?=## )/m);
  return new Map(parts.map((part) => [part.slice(3, part.indexOf('\n')), `${part.trimEnd()}\n`]));
}

function writePage(parts: ReadonlyMap<string, string>, order: readonly Campaign[]): void {
  const inOrder = order.flatMap(({ title }) => parts.get(title) ?? []);
  writeFileSync(PAGE, [HEAD, ...inOrder].join('\n'));
}

async function main(): Promise<number> {
  const { values } = parseArgs({
    options: { seeds: { type: 'string', default: SEEDS_DEFAULT }, only: { type: 'string', multiple: true } },
  });
  const all = campaigns(values.seeds);
  const unknown = values.only?.find((title) => all.every((campaign) => campaign.title !== title));
  if (unknown !== undefined) {
    process.stderr.write(`No campaign is called "${unknown}": ${all.map(({ title }) => `"${title}"`).join(', ')}.\n`);
    return 2;
  }
  for (const campaign of all.filter(({ title }) => values.only?.includes(title) ?? true)) {
    const outcome = await run(campaign);
    const parts = readPage();
    parts.delete(campaign.title);
    if (outcome.code === 0) parts.set(campaign.title, section(campaign, outcome));
    writePage(parts, all);
    if (outcome.code === 0) continue;
    process.stderr.write(`${campaign.title} failed with exit code ${outcome.code}; ${PAGE} has no part of it now.\n`);
    return 1;
  }
  process.stdout.write(`Written: ${PAGE}\n`);
  return 0;
}

process.exitCode = await main();
