/**
 * Outputs: what the points of a job emitted, as handles, in range order.
 *
 * An output comes with the commit of its points or not at all: the same entry moves the cursor and brings the handle, so
 * a worker that is lost leaves none and a range that runs again replaces none. They stay until a Master folds them or the
 * job leaves the table.
 *
 * Think of the shelves of a bindery: signatures arrive in any order, each with its page numbers, every page number comes
 * once, and all are of one paper.
 *
 * Invariants: ascending and disjoint, within what is covered · of one schema, that of the first · each holds its blob · at
 * most OUTPUTS_HELD_MAX.
 */
import { assert } from '../base/assert.ts';
import { OUTPUTS_HELD_MAX, OUTPUTS_PER_JOB_MAX, OUTPUTS_TOTAL_MAX } from '../base/limits.ts';
import type { Point, Range } from '../base/types.ts';
import type { Blobs } from './blobs.ts';
import type { Output, OutputSchema, StampedOutput, Task } from './types.ts';

/** Why a job pauses by itself; where its Master folds, it also goes on by itself. */
export const TOO_MANY_OUTPUTS = `it has ${OUTPUTS_PER_JOB_MAX} outputs that no Master has folded: retry what failed in front of them, or raise commitEvery`;
/** The same for all jobs together. */
export const TOO_MANY_IN_ALL = `open jobs have ${OUTPUTS_TOTAL_MAX} outputs that no Master has folded: let one of them end`;

/** Whether a job waits for nothing else than for its Master to fold. */
export function isForOutputs(reason: string | null): boolean {
  return reason === TOO_MANY_OUTPUTS || reason === TOO_MANY_IN_ALL;
}

/**
 * Those that a report up to `cursor` brings for the first time; null when it says what cannot be: not ascending, beyond
 * its cursor, or across the cursor that is committed.
 */
export function freshOutputs(
  outputs: readonly StampedOutput[],
  committed: Pick<Task, 'start' | 'cursor'>,
  cursor: Point,
): readonly StampedOutput[] | null {
  let before = committed.start;
  for (const { start, end } of outputs) {
    if (start < before || end <= start || end > cursor) return null;
    if (start < committed.cursor && committed.cursor < end) return null;
    before = end;
  }
  return outputs.filter(({ start }) => start >= committed.cursor);
}

export class Outputs {
  readonly #blobs: Blobs;
  readonly #sorted: Output[] = [];
  #list: readonly Output[] | null = null;
  #schema: OutputSchema | null = null;

  constructor(blobs: Blobs) {
    this.#blobs = blobs;
  }

  get count(): number {
    return this.#sorted.length;
  }

  /** In range order. The list is never changed afterwards. */
  get list(): readonly Output[] {
    this.#list ??= Object.freeze([...this.#sorted]);
    return this.#list;
  }

  get schema(): OutputSchema | null {
    return this.#schema;
  }

  /** Why copies that were counted for these are not to be relied on; null when they are. */
  lost(outputs: readonly StampedOutput[]): string | null {
    for (const { handle, stamp } of outputs) {
      const refusal = this.#blobs.refusal(handle.hash, stamp);
      if (refusal !== null) return refusal;
    }
    return null;
  }

  /** How these differ from what was emitted before, and from each other; null when they do not. */
  conflict(outputs: readonly StampedOutput[]): string | null {
    const [first] = outputs;
    if (first === undefined) return null;
    const known = this.#schema ?? { start: first.start, end: first.end, schema: first.handle.schema };
    const other = outputs.find(({ handle }) => handle.schema !== known.schema);
    if (other === undefined) return null;
    const before = `points ${shown(known)} emitted columns of schema ${known.schema}`;
    return `${before}, and points ${shown(other)} of schema ${other.handle.schema}: all of a job must be the same`;
  }

  hasRoomFor(count: number): boolean {
    return this.#sorted.length + count <= OUTPUTS_HELD_MAX;
  }

  /** Of one report, and so next to each other. */
  add(outputs: readonly StampedOutput[]): void {
    const [first] = outputs;
    if (first === undefined) return;
    assert(this.hasRoomFor(outputs.length), 'the outputs of a job are bounded');
    const place = this.#placeOf(first.start);
    const added = outputs.map(({ start, end, handle }) => ({ start, end, handle }));
    const last = added.at(-1) ?? first;
    assert((this.#sorted[place - 1]?.end ?? first.start) <= first.start, 'outputs do not overlap');
    assert((this.#sorted[place]?.start ?? last.end) >= last.end, 'outputs do not overlap');
    this.#sorted.splice(place, 0, ...added);
    this.#list = null;
    this.#schema ??= { start: first.start, end: first.end, schema: first.handle.schema };
    for (const { handle } of added) this.#blobs.hold(handle.hash);
  }

  /** Lets go of those that begin at these points. False, and nothing changes, unless there is one for each. */
  fold(starts: readonly Point[]): boolean {
    const folded = new Set(starts);
    const [gone, left] = [[] as Output[], [] as Output[]];
    for (const output of this.#sorted) (folded.has(output.start) ? gone : left).push(output);
    if (gone.length !== starts.length) return false;
    this.#sorted.length = 0;
    for (const output of left) this.#sorted.push(output);
    this.#list = null;
    for (const { handle } of gone) this.#blobs.release(handle.hash);
    return true;
  }

  /** As a snapshot had them; whoever restores the job holds their blobs. */
  restore(outputs: readonly Output[], schema: OutputSchema | null): void {
    assert(this.#sorted.length === 0, 'outputs are restored once');
    for (const output of outputs) this.#sorted.push(output);
    this.#schema = schema;
  }

  /** Place of the first that begins at or behind this point. */
  #placeOf(start: Point): number {
    let low = 0;
    let high = this.#sorted.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if ((this.#sorted[middle]?.start ?? start) < start) low = middle + 1;
      else high = middle;
    }
    return low;
  }
}

function shown({ start, end }: Range): string {
  return `[${start}, ${end})`;
}
