/**
 * Attempt: one task that runs in a host, whatever it runs as.
 */
import type { Point } from '../base/types.ts';
import type { TaskOrder } from '../wire/messages.ts';
import type { DataAnswer, DataRequest } from './data-words.ts';
import type { AttemptEnding, JobLine, Position } from './protocol.ts';

export interface Attempt {
  readonly order: TaskOrder;
  position(): Position;
  /** Points below `limit` may be handed out. */
  committed(cursor: Point, limit: Point): void;
  /** Gives up the far half of what is not begun, if it can, and gives the end that it keeps. */
  keep(): Point;
  /** About its batches, from the node. */
  data(answer: DataAnswer): void;
  moveDeadline(at: number): void;
  /** Stop at the next point; terminated after ABORT_GRACE_MS. */
  release(): void;
  /** Stop now. */
  terminate(): void;
  /** Stop now; it failed, and `error` says why. What it says of its own end at this very moment still counts. */
  fail(error: string): void;
}

/** What an attempt tells its host. */
export interface AttemptEvents {
  /** Its position should be reported now rather than at the next sample. */
  nudge(): void;
  line(line: JobLine): void;
  /** About its batches, to the node. */
  data(request: DataRequest): void;
  /** Exactly once, when none of its code runs any more. */
  ended(ending: AttemptEnding): void;
  /** Its code cannot be stopped: the whole host must go. */
  stuck(reason: string): void;
}

/** Why an attempt failed that took too long; the same words from both who watch. */
export function timeoutReason(taskTimeoutMs: number): string {
  return `timed out: the task ran longer than its taskTimeoutMs of ${taskTimeoutMs} ms`;
}
