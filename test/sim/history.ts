/**
 * History: what clients asked about each job and what they were told, and whether it can have happened.
 *
 * A job is a register: submits, pauses, resumes, retries and cancels write it, reads look at it, and the cluster itself
 * moves it on when work begins, ends or goes badly. The history of a job is linearizable if each operation can be given one instant between
 * its question and its answer such that the answers are those of one register. An operation whose answer never came, or
 * left it open, may have taken place at any time since, or never.
 *
 * Like the method of Wing & Gong, in Lowe's just-in-time form: walk through the moments in order, keep every world that
 * is still possible, and let operations take place only when an answer demands it.
 *
 * Invariant: the history knows nothing of the log, of terms and of nodes; it believes clients only.
 */
import { assert } from '../../src/base/assert.ts';
import type { JobId } from '../../src/base/types.ts';
import type { JobState } from '../../src/ranges/types.ts';
import { expectThat } from './violation.ts';

export type Question = 'submit' | 'pause' | 'resume' | 'retry' | 'cancel' | 'read';
/** 'done': the change was made, or was so already. 'wrong-state' and 'not-found' are refusals by the table itself. */
export type Answer =
  | { readonly kind: 'done' }
  | { readonly kind: 'wrong-state' }
  | { readonly kind: 'not-found' }
  | { readonly kind: 'state'; readonly state: JobState | null };

export interface Operation {
  readonly question: Question;
  readonly askedAt: number;
  /** Infinite while no answer came. */
  answeredAt: number;
  answer: Answer | null;
}

/** Null: there is no such job. */
type State = JobState | null;

/** Far more than any history of a sound cluster needs. */
const WORLDS_MAX = 50_000;

/** A possible world: where the register stands, and which of the operations that are not over have taken place. */
interface PossibleWorld {
  readonly state: State;
  readonly placed: ReadonlySet<Operation>;
}

/** What the cluster does by itself: begin, end, pause what fares badly. What lives when a job is paused may be its last. */
function drifts(state: State, pausesByItself: boolean): readonly State[] {
  // A job that is to come after another is paused when that one fails.
  if (state === 'pending') return pausesByItself ? ['running', 'paused'] : ['running'];
  if (state === 'running' && pausesByItself) return ['paused', 'done', 'failed'];
  return state === 'running' || state === 'paused' ? ['done', 'failed'] : [];
}

function isOver(state: State): boolean {
  return state === 'done' || state === 'failed' || state === 'cancelled';
}

/** Whether the operation can have been answered as it was by a register in this state, and changes nothing now or later. */
function observes({ question, answer }: Operation, state: State): boolean {
  switch (answer?.kind) {
    case 'state':
      return answer.state === state;
    case 'not-found':
      return state === null;
    case 'wrong-state':
      // Whether there is something to retry does not show in the state.
      if (question === 'retry') return state !== null;
      return isOver(state) && !(question === 'cancel' && state === 'cancelled');
    case 'done':
      return (question === 'submit' && state !== null) || (question === 'cancel' && state === 'cancelled');
    default:
      return false;
  }
}

/** Where a write takes the register; nowhere when it would be refused. */
function effects(question: Question, state: State): readonly State[] {
  if (question === 'submit') return state === null ? ['pending'] : [];
  if (question === 'retry') return state === null || state === 'cancelled' || state === 'pending' ? [] : ['running'];
  if (state === null || isOver(state)) return [];
  switch (question) {
    case 'pause':
      return ['paused'];
    case 'resume':
      return state === 'paused' ? ['pending', 'running'] : [state];
    case 'cancel':
      // A job of which only the last word of a worker is missing is finished instead.
      return state === 'pending' ? ['cancelled'] : ['cancelled', 'done', 'failed'];
    case 'read':
      return [];
  }
}

/**
 * Null, or the first operation whose answer cannot be explained.
 *
 * @param pausesByItself whether so much went wrong with this job that it paused without being asked.
 */
export function unexplained(operations: readonly Operation[], pausesByItself = false): Operation | null {
  const moments = operations.flatMap((operation) => [
    { at: operation.askedAt, operation, ends: false },
    ...(operation.answer === null ? [] : [{ at: operation.answeredAt, operation, ends: true }]),
  ]);
  // At one instant all questions come before all answers: whatever can overlap, does.
  moments.sort((a, b) => a.at - b.at || Number(a.ends) - Number(b.ends));
  const asked: Operation[] = [];
  let worlds: PossibleWorld[] = [{ state: null, placed: new Set() }];
  for (const { operation, ends } of moments) {
    if (!ends) {
      if (operation.answer !== null || operation.question !== 'read') asked.push(operation);
      continue;
    }
    worlds = placing(worlds, operation, asked, pausesByItself);
    if (worlds.length === 0) return operation;
    asked.splice(asked.indexOf(operation), 1);
  }
  return null;
}

/** The worlds in which `due` has taken place, whatever else had to take place before it. */
function placing(
  worlds: readonly PossibleWorld[],
  due: Operation,
  asked: readonly Operation[],
  pausesByItself: boolean,
): PossibleWorld[] {
  const reached = new Map<string, PossibleWorld>();
  const met = new Set<string>();
  const open = [...worlds];
  for (let world = open.pop(); world !== undefined; world = open.pop()) {
    const { state } = world;
    // Looking changes nothing, so whoever can have looked now has.
    const placed = new Set(world.placed);
    for (const operation of asked) if (observes(operation, state)) placed.add(operation);
    const name = nameOf(state, placed, asked);
    if (met.has(name)) continue;
    met.add(name);
    assert(met.size <= WORLDS_MAX, 'the history of a job can be decided');
    if (placed.delete(due)) reached.set(nameOf(state, placed, asked), { state, placed });
    else {
      const drifted = drifts(state, pausesByItself).map((after) => ({ state: after, placed }));
      open.push(...drifted, ...writes(state, placed, asked));
    }
  }
  return [...reached.values()];
}

/** One step from a world: one more write. */
function writes(state: State, placed: ReadonlySet<Operation>, asked: readonly Operation[]): PossibleWorld[] {
  const next: PossibleWorld[] = [];
  for (const question of ['submit', 'pause', 'resume', 'retry', 'cancel'] as const) {
    // Of equal writes the one that must be over first takes place first: to exchange two of them changes nothing.
    const open = asked.filter((one) => one.question === question && !placed.has(one) && isWrite(one));
    const first = open.sort((a, b) => a.answeredAt - b.answeredAt)[0];
    if (first === undefined) continue;
    for (const after of effects(question, state)) {
      // Without an answer it may as well not have taken place.
      if (first.answer === null && after === state) continue;
      next.push({ state: after, placed: new Set(placed).add(first) });
    }
  }
  return next;
}

function isWrite({ answer }: Operation): boolean {
  return answer === null || answer.kind === 'done';
}

function nameOf(state: State, placed: ReadonlySet<Operation>, asked: readonly Operation[]): string {
  let name = `${state}:`;
  for (const [at, operation] of asked.entries()) if (placed.has(operation)) name += `${at},`;
  return name;
}

export class Histories {
  readonly #jobs = new Map<JobId, Operation[]>();

  asked(id: JobId, question: Question, askedAt: number): Operation {
    const operation: Operation = { question, askedAt, answeredAt: Number.POSITIVE_INFINITY, answer: null };
    const list = this.#jobs.get(id);
    if (list === undefined) this.#jobs.set(id, [operation]);
    else list.push(operation);
    return operation;
  }

  answered(operation: Operation, answer: Answer, at: number): void {
    operation.answer = answer;
    operation.answeredAt = at;
  }

  /** It was refused by someone who knows that nothing was changed. */
  dropped(id: JobId, operation: Operation): void {
    const list = this.#jobs.get(id) ?? [];
    list.splice(list.indexOf(operation), 1);
  }

  /** Gives the number of operations that were looked at. `pausedThemselves` is what the log says of jobs that fared badly. */
  checkAll(pausedThemselves: ReadonlySet<JobId>): number {
    let count = 0;
    for (const [id, operations] of this.#jobs) {
      count += operations.length;
      const wrong = unexplained(operations, pausedThemselves.has(id));
      expectThat(wrong === null, () => `not linearizable: job ${id}: ${describe(wrong)}`);
    }
    return count;
  }
}

function describe(operation: Operation | null): string {
  if (operation === null) return 'nothing';
  const { question, askedAt, answeredAt, answer } = operation;
  return `${question} asked at ${askedAt.toFixed(3)} and answered at ${answeredAt.toFixed(3)} with ${JSON.stringify(answer)}`;
}
