/**
 * Emitted: what a task made beside its cursor, kept by its worker until the log has it.
 *
 * Outputs go with the cursor that covers their points, and so a report tells no cursor beyond an output that it leaves
 * out. Where there are more of them than a report takes, the task seems to be only so far, and its end waits.
 *
 * Invariants: outputs ascend and are disjoint · none is forgotten before a cursor at or behind its end is committed · of
 * checkpoints only the last is kept.
 */
import { assert } from '../base/assert.ts';
import { OUTPUTS_PER_REPORT_MAX } from '../base/limits.ts';
import type { Point } from '../base/types.ts';
import type { StampedCheckpoint, StampedOutput } from '../ranges/types.ts';

/** What a report says of a task that has come to `cursor`. */
export interface Portion {
  readonly cursor: Point;
  readonly outputs: readonly StampedOutput[];
  /** Some had to be left for the next report. */
  readonly isCut: boolean;
}

export class Emitted {
  #outputs: StampedOutput[] = [];
  #checkpoint: StampedCheckpoint | null = null;
  /** Of the report with which the checkpoint went first. */
  #checkpointSentIn = Number.POSITIVE_INFINITY;

  get checkpoint(): StampedCheckpoint | null {
    return this.#checkpoint;
  }

  add(outputs: readonly StampedOutput[]): void {
    for (const output of outputs) {
      assert((this.#outputs.at(-1)?.end ?? output.start) <= output.start, 'the outputs of a task ascend');
      this.#outputs.push(output);
    }
  }

  /** A pipeline has come further. */
  reached(checkpoint: StampedCheckpoint): void {
    this.#checkpoint = checkpoint;
    this.#checkpointSentIn = Number.POSITIVE_INFINITY;
  }

  /** What the next report may take, if the message has room for so many outputs. */
  portion(cursor: Point, room: number): Portion {
    const count = Math.min(room, OUTPUTS_PER_REPORT_MAX);
    const next = this.#outputs[count];
    if (next === undefined) return { cursor, outputs: [...this.#outputs], isCut: false };
    return { cursor: next.start, outputs: this.#outputs.slice(0, count), isCut: true };
  }

  /** A report with this number takes the checkpoint along. */
  sent(sequence: number): void {
    this.#checkpointSentIn = Math.min(this.#checkpointSentIn, sequence);
  }

  committed(cursor: Point): void {
    const left = this.#outputs.findIndex(({ end }) => end > cursor);
    this.#outputs = left < 0 ? [] : this.#outputs.slice(left);
  }

  /**
   * The answer to a report tells which stage the table has. Whether that is the checkpoint that went with it: an answer to
   * a report before it may speak of the checkpoint of other code.
   */
  checkpointed(stage: number | null, sequence: number): boolean {
    if (this.#checkpoint === null || this.#checkpoint.stage !== stage || sequence < this.#checkpointSentIn)
      return false;
    this.#checkpoint = null;
    return true;
  }
}
