/**
 * Campaign: many seeds, on all cores, and what fired in them.
 *
 * The seeds are dealt out in stripes, each to a process of its own (stripe.ts). Their results are taken in the order of
 * the seeds, whoever was faster, so that a campaign says the same on any machine. A short one stays in this process.
 *
 * Invariant: results reach `progress` in seed order, each once, up to the one that ends the campaign.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { must } from '../../src/base/assert.ts';
import { type RunResult, runSeed } from './run.ts';

/** Below this the start of processes costs more than they save. */
const SEEDS_FOR_STRIPES = 100;
/** One a core of a small machine; more would only take turns. */
const STRIPES = 2;

export interface CampaignResult {
  readonly seedCount: number;
  readonly failures: readonly RunResult[];
  readonly virtualMs: number;
  readonly eventCount: number;
  readonly counts: ReadonlyMap<string, number>;
}

export interface CampaignOptions {
  readonly from: number;
  readonly count: number;
  /** The campaign ends at so many failures. */
  readonly failuresMax: number;
  readonly progress?: (soFar: CampaignResult) => void;
}

export async function runCampaign(options: CampaignOptions): Promise<CampaignResult> {
  const tally = new Tally(options);
  const { from, count } = options;
  if (count < SEEDS_FOR_STRIPES) {
    for (let seed = from; seed < from + count && !tally.isOver; seed++) tally.add(runSeed(seed));
  } else {
    await runStripes(options, tally);
  }
  return tally.result;
}

class Tally {
  readonly #options: CampaignOptions;
  readonly #counts = new Map<string, number>();
  readonly #failures: RunResult[] = [];
  readonly #early = new Map<number, RunResult>();
  #seedCount = 0;
  #virtualMs = 0;
  #eventCount = 0;

  constructor(options: CampaignOptions) {
    this.#options = options;
  }

  get isOver(): boolean {
    return this.#failures.length >= this.#options.failuresMax || this.#seedCount === this.#options.count;
  }

  get result(): CampaignResult {
    return {
      seedCount: this.#seedCount,
      failures: this.#failures,
      virtualMs: this.#virtualMs,
      eventCount: this.#eventCount,
      counts: this.#counts,
    };
  }

  /** A result that is ahead of its turn waits. */
  add(result: RunResult): void {
    this.#early.set(result.seed, result);
    for (;;) {
      const seed = this.#options.from + this.#seedCount;
      const next = this.#early.get(seed);
      if (next === undefined || this.isOver) return;
      this.#early.delete(seed);
      this.#take(next);
    }
  }

  #take(one: RunResult): void {
    for (const [kind, count] of one.counts) this.#counts.set(kind, (this.#counts.get(kind) ?? 0) + count);
    if (!one.ok) this.#failures.push(one);
    this.#seedCount += 1;
    this.#virtualMs += one.virtualMs;
    this.#eventCount += one.eventCount;
    this.#options.progress?.(this.result);
  }
}

async function runStripes(options: CampaignOptions, tally: Tally): Promise<void> {
  const children: ChildProcess[] = [];
  const finished = [...Array(STRIPES).keys()].map((stripe) => {
    const child = startStripe(options, stripe);
    children.push(child);
    return follow(child, tally, () => {
      for (const one of children) one.kill();
    });
  });
  await Promise.all(finished);
}

function startStripe({ from, count }: CampaignOptions, stripe: number): ChildProcess {
  const program = fileURLToPath(new URL('./stripe.ts', import.meta.url));
  const args = ['--import', 'tsx', program, String(from + stripe), String(from + count), String(STRIPES)];
  return spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'inherit'] });
}

/** Ends with its process. @throws Error when that died before the campaign was over. */
async function follow(child: ChildProcess, tally: Tally, over: () => void): Promise<void> {
  const exited = new Promise<number | null>((resolve) => child.once('close', resolve));
  for await (const line of createInterface({ input: must(child.stdout, 'a stripe writes to a pipe') })) {
    tally.add(decodeResult(line));
    if (tally.isOver) over();
  }
  const code = await exited;
  if (code !== 0 && !tally.isOver) throw new Error(`a stripe of the campaign ended with exit code ${code}`);
}

/** One line, for the way between processes of one campaign. */
export function encodeResult(result: RunResult): string {
  return JSON.stringify({ ...result, counts: [...result.counts] });
}

function decodeResult(line: string): RunResult {
  const parsed = JSON.parse(line) as Omit<RunResult, 'counts'> & { readonly counts: readonly [string, number][] };
  return { ...parsed, counts: new Map(parsed.counts) };
}
