/**
 * Stamps: the times that a leader writes into commands, for display, retention and schedules.
 *
 * They start at the leader's wall clock and then follow its monotonic clock, so that a clock that is set while it leads
 * changes nothing. They never go back behind what the table already shows, and a wall clock that is more than a minute
 * behind that is reported: some clock of the cluster is wrong.
 */
import type { Table } from '../ranges/types.ts';
import type { Env } from './env.ts';

const JUMP_MS_MAX = 60_000;

export class Stamps {
  readonly #env: Env;
  readonly #offset: number;

  constructor(env: Env, table: Table) {
    this.#env = env;
    let floor = 0;
    for (const job of table.jobs()) floor = Math.max(floor, job.createdAt, job.startedAt ?? 0, job.finishedAt ?? 0);
    const wall = env.clock.wall();
    if (floor - wall > JUMP_MS_MAX) env.log.warn({ aheadMs: floor - wall }, 'clock-behind-the-log');
    this.#offset = Math.max(floor, wall) - env.clock.now();
  }

  /** Milliseconds since 1970, whole. */
  next(): number {
    return Math.floor(this.#env.clock.now() + this.#offset);
  }
}
