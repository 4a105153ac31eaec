/**
 * Rests: workers that an operator wants to hold nothing (`worker drain`), and who waits to hear that they know.
 *
 * The wish lives in the session and in the worker itself, which says it with every keep-alive: so a new leader learns it
 * from the worker, and nothing of it is in the log. Whoever asked is answered only when the worker has said it, for until
 * then a change of leader could forget it.
 */
import { PolarisError } from '../base/errors.ts';
import { REST_WAIT_MS } from '../base/limits.ts';
import type { NodeId } from '../base/types.ts';
import type { Done } from './api.ts';
import type { Session } from './sessions.ts';

interface Asking {
  readonly session: Session;
  readonly resting: boolean;
  readonly done: Done<void>;
  readonly until: number;
}

export class Rests {
  #asking: Asking[] = [];

  /** Calls back once the worker has said that it does as it is told. */
  ask(session: Session, resting: boolean, now: number, done: Done<void>): void {
    session.resting = resting;
    this.#answer(
      (one) => one.session === session && one.resting !== resting,
      () => new PolarisError('WRONG_STATE', `worker ${session.worker} was asked for the opposite meanwhile`),
    );
    if (session.introduced && session.draining === resting) return done({ ok: true, value: undefined });
    this.#asking.push({ session, resting, done, until: now + REST_WAIT_MS });
  }

  /** A keep-alive came. The first one that a leader hears tells what the worker was told before. */
  heard(session: Session, draining: boolean): void {
    const isWaitedFor = this.#asking.some((one) => one.session === session);
    if (!session.introduced && !isWaitedFor) session.resting = draining;
    session.introduced = true;
    session.draining = draining;
    this.#answer(
      (one) => one.session === session && one.resting === draining,
      () => null,
    );
  }

  ended(worker: NodeId): void {
    this.#answer(
      ({ session }) => session.worker === worker,
      () => new PolarisError('NOT_FOUND', `worker ${worker} has left`),
    );
  }

  tick(now: number): void {
    if (this.#asking.length === 0) return;
    this.#answer(
      ({ until }) => until <= now,
      ({ session: { worker } }) =>
        new PolarisError('TIMED_OUT', `worker ${worker} did not confirm within ${REST_WAIT_MS} ms; ask again`),
    );
  }

  close(): void {
    this.#answer(
      () => true,
      () => new PolarisError('OUTCOME_UNKNOWN'),
    );
  }

  #answer(isMeant: (one: Asking) => boolean, error: (one: Asking) => PolarisError | null): void {
    const meant = this.#asking.filter(isMeant);
    if (meant.length === 0) return;
    this.#asking = this.#asking.filter((one) => !meant.includes(one));
    for (const one of meant) {
      const reason = error(one);
      one.done(reason === null ? { ok: true, value: undefined } : { ok: false, error: reason });
    }
  }
}
