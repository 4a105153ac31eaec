/**
 * Mutant: a known bug, as the change that puts it back, and what must notice it.
 *
 * The rows are those of the classic bugs of Raft implementations, numbered as in test/raft/classic.test.ts. A change is
 * text that is found and text that takes its place; so it can be read beside the code that it breaks, and needs no line
 * numbers.
 */

/** `find` stands exactly once in the file. */
export interface Edit {
  readonly file: string;
  readonly find: string;
  readonly replace: string;
}

export interface CatchingTest {
  readonly kind: 'test';
  readonly file: string;
  /** The title alone, without those of the groups around it. */
  readonly title: string;
}

/** One of these seeds must fail. */
export interface CatchingSeeds {
  readonly kind: 'seeds';
  readonly from: number;
  readonly count: number;
}

export type Catcher = CatchingTest | CatchingSeeds;

export interface Mutant {
  readonly row: number;
  /** The bug, as if it were the rule. */
  readonly name: string;
  /** What it does to a cluster. */
  readonly why: string;
  readonly edits: readonly Edit[];
  /** Each of them must catch it. */
  readonly catchers: readonly Catcher[];
}

export function test(file: string, title: string): CatchingTest {
  return { kind: 'test', file, title };
}

/**
 * For mutants that the simulator finds in its first few seeds. The margin is for the day when a change of the simulator
 * gives each seed another story.
 */
export const SEEDS: CatchingSeeds = { kind: 'seeds', from: 1, count: 40 };

/** How often the text stands in the source. */
export function occurrences(source: string, text: string): number {
  return source.split(text).length - 1;
}

/** The source after the edit. @throws Error when the edit does not fit. */
export function edited(source: string, { file, find, replace }: Edit): string {
  const count = occurrences(source, find);
  if (count !== 1) throw new Error(`${file} holds this ${count} times, and not once: ${find}`);
  // A function, for in a text a dollar sign would mean something.
  return source.replace(find, () => replace);
}
