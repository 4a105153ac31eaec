/**
 * Sessions: the leader's book of who is alive.
 *
 * Think of a night watch that calls its names: who answers is crossed off, and who is silent for a whole round is
 * struck. The book lives in the leader's memory; only the end of a session is logged, and each quarter of the TTL in
 * silence (Suspect), so that a new leader does not begin the count anew for a worker that was dead all along.
 *
 * A worker stops its tasks ⅔ of the TTL after *sending* the last keep-alive that was answered. So a session may end only
 * a whole TTL after the last answer, and from the proposal of a Suspect on, a worker is answered only after Heard is
 * committed: otherwise the next leader would count silence that was none.
 *
 * Pure: time is an argument (monotonic milliseconds).
 */
import { assert } from '../base/assert.ts';
import { SUSPECT_QUARTERS_MAX } from '../base/limits.ts';
import type { Epoch, Incarnation, NodeId } from '../base/types.ts';

export interface Session {
  readonly worker: NodeId;
  readonly incarnation: Incarnation;
  lastHeardAt: number;
  /** Quarters of silence proposed or committed; above 0 the worker is not answered. */
  suspected: number;
  /** Heard is proposed and not yet applied. */
  hearing: boolean;
  /** The end is proposed. */
  expiring: boolean;
  /** This leader itself has heard from it: only then it is given tasks. */
  heard: boolean;
  /** It says that it takes no new task. */
  draining: boolean;
  /** It is to hold nothing until it is told otherwise. */
  resting: boolean;
  /** This leader has had a keep-alive from it, and with it its word on whether it rests. */
  introduced: boolean;
  /** Sequence of the last keep-alive that waits for an answer; 0 when none does. */
  unanswered: number;
  /** Leases that the worker named in its last keep-alive, or was told of since. */
  told: ReadonlySet<Epoch>;
  /** Nonce of the join that made it, if this leader saw it. */
  nonce: number | null;
}

/** What the silence of a worker calls for. */
export type Verdict =
  | { readonly kind: 'suspect'; readonly session: Session; readonly quarters: number }
  | { readonly kind: 'expire'; readonly session: Session; readonly reason: string };

export class Sessions {
  readonly #ttlMs: number;
  readonly #sessions = new Map<NodeId, Session>();

  constructor(ttlMs: number) {
    this.#ttlMs = ttlMs;
  }

  /** A session begins: new (`quarters` 0), or inherited by a new leader less the silence that the log already holds. */
  open(worker: NodeId, incarnation: Incarnation, now: number, quarters: number): Session {
    assert(quarters >= 0 && quarters <= SUSPECT_QUARTERS_MAX, 'the log holds 0 to 3 quarters of silence');
    const session: Session = {
      worker,
      incarnation,
      lastHeardAt: now - (quarters * this.#ttlMs) / 4,
      suspected: quarters,
      hearing: false,
      expiring: false,
      heard: false,
      draining: false,
      resting: false,
      introduced: false,
      unanswered: 0,
      told: new Set(),
      nonce: null,
    };
    this.#sessions.set(worker, session);
    return session;
  }

  close(worker: NodeId, incarnation: Incarnation): void {
    if (this.#sessions.get(worker)?.incarnation === incarnation) this.#sessions.delete(worker);
  }

  get(worker: NodeId): Session | undefined {
    return this.#sessions.get(worker);
  }

  all(): Iterable<Session> {
    return this.#sessions.values();
  }

  /** The leader itself was stopped for a while: that silence was its own, and no worker is charged with it. */
  excuse(stalledMs: number, now: number): void {
    for (const session of this.#sessions.values()) {
      session.lastHeardAt = Math.min(now, session.lastHeardAt + stalledMs);
    }
  }

  /** What is due at `now`. The caller marks what it could propose. */
  judge(now: number): Verdict[] {
    const due: Verdict[] = [];
    for (const session of this.#sessions.values()) {
      if (session.expiring) continue;
      const quarters = Math.floor((4 * (now - session.lastHeardAt)) / this.#ttlMs);
      if (quarters > SUSPECT_QUARTERS_MAX) {
        due.push({ kind: 'expire', session, reason: `silent for ${this.#ttlMs} ms` });
      } else if (quarters > session.suspected) {
        due.push({ kind: 'suspect', session, quarters });
      }
    }
    return due;
  }
}
