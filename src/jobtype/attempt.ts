/**
 * Attempt: one task that runs in a host, whatever it runs as.
 */
import type { Point } from '../base/types.ts';
import type { ExecutorEnding } from '../daemon/env.ts';
import type { TaskOrder } from '../wire/messages.ts';
import type { JobLine, Position } from './protocol.ts';

export interface Attempt {
  readonly order: TaskOrder;
  position(): Position;
  /** Points below `limit` may be handed out. */
  committed(cursor: Point, limit: Point): void;
  /** Gives up the far half of what is not begun, if it can, and gives the end that it keeps. */
  keep(): Point;
  moveDeadline(at: number): void;
  /** Stop at the next point; terminated after ABORT_GRACE_MS. */
  release(): void;
  /** Stop now. */
  terminate(): void;
}

/** What an attempt tells its host. */
export interface AttemptEvents {
  /** Its position should be reported now rather than at the next sample. */
  nudge(): void;
  line(line: JobLine): void;
  /** Exactly once, when none of its code runs any more. */
  ended(ending: ExecutorEnding): void;
  /** Its code cannot be stopped: the whole host must go. */
  stuck(reason: string): void;
}
