/**
 * Register history: what clients asked about each dataset and what they were told, and whether it can have happened.
 *
 * A dataset is a register: a put writes it, from whatever it holds or only from the version that was expected; a drop
 * empties it; a read shows version and content. Its history is linearizable if each operation can be given one instant
 * between its question and its answer such that the answers are those of one register, whose versions only grow. What
 * was never answered, or left open, may have taken place at any time since, or never.
 *
 * The method is that of history.ts (Wing & Gong, in Lowe's just-in-time form); what differs is the register. A write
 * without an answer has a version that nobody was told. Either somebody saw it later, so that it is one of those that
 * were seen and are nobody else's, or it is hidden for good.
 *
 * Invariant: the history knows nothing of the log, of terms and of nodes; it believes clients only.
 */
import { assert } from '../../src/base/assert.ts';
import { expectThat } from './violation.ts';

/** What a name stands for. The value is whatever tells two contents apart. */
export interface Content {
  readonly version: number;
  readonly value: string;
}

/** This version, none at all (0), or whatever there is (null). */
type Expected = number | null;

export type RegisterQuestion =
  | { readonly kind: 'put'; readonly value: string; readonly expected: Expected }
  | { readonly kind: 'drop'; readonly expected: Expected }
  | { readonly kind: 'pin' }
  | { readonly kind: 'read' };

/** 'done' answers a drop and a pin; 'conflict' says that the version is another one, 'not-found' that there is none. */
export type RegisterAnswer =
  | { readonly kind: 'put'; readonly version: number }
  | { readonly kind: 'done' }
  | { readonly kind: 'conflict' }
  | { readonly kind: 'not-found' }
  | { readonly kind: 'content'; readonly content: Content | null };

export interface RegisterOperation {
  readonly question: RegisterQuestion;
  readonly askedAt: number;
  /** Infinite while no answer came. */
  answeredAt: number;
  answer: RegisterAnswer | null;
}

/** A version of null is hidden: nobody ever saw it. */
type State = { readonly version: number | null; readonly value: string } | null;

/** Far more than any history of a sound cluster needs. */
const WORLDS_MAX = 100_000;

interface PossibleWorld {
  readonly state: State;
  /** The highest version that is known to have been written. */
  readonly floor: number;
  readonly placed: ReadonlySet<RegisterOperation>;
  /** The last write has no answer, and nobody has seen it yet. */
  readonly unseen: boolean;
}

/** Versions that were seen and that no put was told of, and what was seen with each; null: only that it was expected. */
type Orphans = ReadonlyMap<number, string | null>;

/** Null, or the first operation whose answer cannot be explained. */
export function unexplainedOfRegister(operations: readonly RegisterOperation[]): RegisterOperation | null {
  const moments = operations.flatMap((operation) => [
    { at: operation.askedAt, operation, ends: false },
    ...(operation.answer === null ? [] : [{ at: operation.answeredAt, operation, ends: true }]),
  ]);
  // At one instant all questions come before all answers: whatever can overlap, does.
  moments.sort((a, b) => a.at - b.at || Number(a.ends) - Number(b.ends));
  const orphans = orphansOf(operations);
  const asked: RegisterOperation[] = [];
  let worlds: PossibleWorld[] = [{ state: null, floor: 0, placed: new Set(), unseen: false }];
  for (const { operation, ends } of moments) {
    if (!ends) {
      if (operation.answer !== null || isWriting(operation.question)) asked.push(operation);
      continue;
    }
    worlds = placing(worlds, operation, asked, orphans);
    if (worlds.length === 0) return operation;
    asked.splice(asked.indexOf(operation), 1);
  }
  return null;
}

function orphansOf(operations: readonly RegisterOperation[]): Orphans {
  const orphans = new Map<number, string | null>();
  for (const { question, answer } of operations) {
    // Whoever expects a version was told of it. A refusal says that he was told wrong, or that it is gone.
    if (isWriting(question) && question.expected && answer?.kind !== 'conflict') orphans.set(question.expected, null);
  }
  for (const { answer } of operations) {
    if (answer?.kind === 'content' && answer.content !== null)
      orphans.set(answer.content.version, answer.content.value);
  }
  for (const { answer } of operations) if (answer?.kind === 'put') orphans.delete(answer.version);
  return orphans;
}

function isWriting(question: RegisterQuestion): question is Extract<RegisterQuestion, { kind: 'put' | 'drop' }> {
  return question.kind === 'put' || question.kind === 'drop';
}

function isAsExpected(expected: Expected, state: State): boolean {
  return expected === null || expected === (state === null ? 0 : state.version);
}

/** Whether the operation can have been answered as it was by a register in this state, which it left as it was. */
function observes({ question, answer }: RegisterOperation, state: State): boolean {
  switch (answer?.kind) {
    case 'content':
      return answer.content?.version === state?.version && answer.content?.value === state?.value;
    case 'not-found':
      return state === null;
    case 'conflict':
      return isWriting(question) && !isAsExpected(question.expected, state);
    case 'done':
      return question.kind === 'pin' && state !== null;
    default:
      return false;
  }
}

/** The worlds in which `due` has taken place, whatever else had to take place before it. */
function placing(
  worlds: readonly PossibleWorld[],
  due: RegisterOperation,
  asked: readonly RegisterOperation[],
  orphans: Orphans,
): PossibleWorld[] {
  const reached = new Map<string, PossibleWorld>();
  const met = new Set<string>();
  const open = [...worlds];
  for (let world = open.pop(); world !== undefined; world = open.pop()) {
    const { state, floor } = world;
    // Looking changes nothing, so whoever can have looked now has.
    const placed = new Set(world.placed);
    for (const operation of asked) if (observes(operation, state)) placed.add(operation);
    const unseen = world.unseen && placed.size === world.placed.size;
    const name = nameOf({ state, floor, placed, unseen }, asked);
    if (met.has(name)) continue;
    met.add(name);
    assert(met.size <= WORLDS_MAX, 'the history of a dataset can be decided');
    if (placed.delete(due))
      reached.set(nameOf({ state, floor, placed, unseen }, asked), { state, floor, placed, unseen });
    else open.push(...writes({ state, floor, placed, unseen }, asked, orphans));
  }
  return [...reached.values()];
}

/** One step from a world: one more write. */
function writes(world: PossibleWorld, asked: readonly RegisterOperation[], orphans: Orphans): PossibleWorld[] {
  const tried = new Set<string>();
  return asked.flatMap((operation) => {
    const { question, answer } = operation;
    if (world.placed.has(operation) || !isWriting(question)) return [];
    if (answer !== null && answer.kind !== 'put' && answer.kind !== 'done') return [];
    // To overwrite what nobody saw and nobody was told of is as if it had not been written.
    if (world.unseen && question.kind === 'put' && question.expected === null) return [];
    if (!isAsExpected(question.expected, world.state)) return [];
    const states = effects(operation, world, orphans);
    const kind = `${question.kind} ${JSON.stringify(states)}`;
    // Writes without an answer that do the same now can do so later, too: one of them stands for all.
    if (answer === null && tried.has(kind)) return [];
    tried.add(kind);
    const placed = new Set(world.placed).add(operation);
    const unseen = answer === null;
    return states.map((state) => ({ state, floor: Math.max(world.floor, state?.version ?? 0), placed, unseen }));
  });
}

/** Where a write that is as expected takes the register; nowhere when it would be refused. */
function effects({ question, answer }: RegisterOperation, { state, floor }: PossibleWorld, orphans: Orphans): State[] {
  if (question.kind !== 'put') return state === null ? [] : [null];
  const { value } = question;
  if (answer?.kind === 'put') return answer.version > floor ? [{ version: answer.version, value }] : [];
  const seen = [...orphans].filter(([version, found]) => version > floor && (found === null || found === value));
  const hidden = seen.length === 0 ? '' : value;
  return [...seen.map(([version]) => ({ version, value })), { version: null, value: hidden }];
}

function nameOf({ state, floor, placed, unseen }: PossibleWorld, asked: readonly RegisterOperation[]): string {
  let name = `${state?.version}/${state?.value}/${floor}/${unseen}:`;
  for (const [at, operation] of asked.entries()) if (placed.has(operation)) name += `${at},`;
  return name;
}

/** The histories of many registers, by name. */
export class RegisterHistories {
  readonly #registers = new Map<string, RegisterOperation[]>();

  asked(name: string, question: RegisterQuestion, askedAt: number): RegisterOperation {
    const operation: RegisterOperation = { question, askedAt, answeredAt: Number.POSITIVE_INFINITY, answer: null };
    const list = this.#registers.get(name);
    if (list === undefined) this.#registers.set(name, [operation]);
    else list.push(operation);
    return operation;
  }

  answered(operation: RegisterOperation, answer: RegisterAnswer, at: number): void {
    operation.answer = answer;
    operation.answeredAt = at;
  }

  /** It was refused by someone who knows that nothing was changed. */
  dropped(name: string, operation: RegisterOperation): void {
    const list = this.#registers.get(name) ?? [];
    list.splice(list.indexOf(operation), 1);
  }

  /** Gives the number of operations that were looked at. */
  checkAll(): number {
    let count = 0;
    for (const [name, operations] of this.#registers) {
      count += operations.length;
      const wrong = unexplainedOfRegister(operations);
      expectThat(wrong === null, () => `not linearizable: dataset ${name}: ${describe(wrong)}`);
    }
    return count;
  }
}

function describe(operation: RegisterOperation | null): string {
  if (operation === null) return 'nothing';
  const { question, askedAt, answeredAt, answer } = operation;
  const times = `asked at ${askedAt.toFixed(3)} and answered at ${answeredAt.toFixed(3)}`;
  return `${JSON.stringify(question)} ${times} with ${JSON.stringify(answer)}`;
}
