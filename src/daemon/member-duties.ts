/**
 * Member duties: what the leader does about the membership, for one term.
 *
 * It takes newcomers in as learners, makes a learner a voter once it has caught up, and refuses what would cost the
 * quorum: a change is proposed only if the voters that were heard lately are a majority of those that would then vote.
 * The core (raft/confchange.ts) judges whether a change fits the configuration; here is judged whether it is wise.
 */
import { unreachable } from '../base/assert.ts';
import { PolarisError } from '../base/errors.ts';
import { CAUGHT_UP_ENTRIES } from '../base/limits.ts';
import type { LogIndex, NodeId } from '../base/types.ts';
import type { ConfChange, MemberProgress, RaftCore, RaftStatus } from '../raft/types.ts';
import type { EnlistMessage, Hello } from '../wire/messages.ts';
import type { Done, MemberRequest } from './api.ts';
import type { MemberChange, Roster, RosterMember } from './roster.ts';

/** Learners and lost members are looked at this often. */
const LOOK_EVERY_MS = 200;
const DONE = { ok: true, value: undefined } as const;

/** As much of the replica as the membership needs. */
export interface MemberReplica {
  readonly roster: Pick<Roster, 'get' | 'wasRemoved'>;
  readonly raft: Pick<RaftCore, 'transferLeadership'>;
  status(): RaftStatus;
  proposeMembers(change: MemberChange, done: Done<void>): void;
}

export interface MemberDutiesOptions {
  readonly replica: MemberReplica;
  readonly clusterId: string;
  readonly send: (to: NodeId, message: EnlistMessage) => void;
}

export class MemberDuties {
  readonly #options: MemberDutiesOptions;
  #nextLookAt = 0;
  /** A promotion of our own is under way. */
  #promoting = false;

  constructor(options: MemberDutiesOptions) {
    this.#options = options;
  }

  /** A node asks to be taken in. It repeats itself until it is answered. */
  enlist(hello: Hello, promote: boolean): void {
    const { send, clusterId } = this.#options;
    const { nodeId: id, instanceId, address } = hello;
    this.add({ id, instanceId, address, promote }, (result) => {
      if (result.ok) return send(id, { type: 'enlisted', id, clusterId });
      const { code, detail, row } = result.error;
      if (!row.retry) send(id, { type: 'enlist-refused', code, detail });
    });
  }

  /** As a learner. A member that is already there under the same data directory is no error. */
  change(request: MemberRequest, done: Done<void>): void {
    switch (request.kind) {
      case 'add':
        return this.add(request.member, done);
      case 'promote':
        return this.promote(request.id, done);
      case 'remove':
        return this.remove(request.id, done);
      case 'transfer':
        return this.transfer(request.to, done);
      default:
        return unreachable(request);
    }
  }

  add(member: RosterMember, done: Done<void>): void {
    const { roster } = this.#options.replica;
    const known = roster.get(member.id);
    if (known?.instanceId === member.instanceId) return done(DONE);
    if (known !== undefined)
      return refuse(done, 'INSTANCE_MISMATCH', `the id "${member.id}" is bound to another data directory`);
    if (roster.wasRemoved(member.id)) {
      return refuse(done, 'BAD_MEMBERSHIP', `"${member.id}" was removed once; a node that comes back needs a new id`);
    }
    this.#propose([{ kind: 'add-learner', id: member.id }], [member], done);
  }

  /** Makes a learner a voter. */
  promote(id: NodeId, done: Done<void>): void {
    const status = this.#options.replica.status();
    const { configuration, progress, commit } = status;
    if (configuration.voters.includes(id)) return done(DONE);
    const learner = progress.get(id);
    if (learner === undefined) return refuse(done, 'BAD_MEMBERSHIP', `"${id}" is not a member`);
    if (!hasCaughtUp(learner, commit)) {
      const detail = `"${id}" has not caught up: it has ${learner.match} of ${commit} entries`;
      return refuse(done, 'BAD_MEMBERSHIP', detail);
    }
    this.#propose([{ kind: 'add-voter', id }], [], done);
  }

  remove(id: NodeId, done: Done<void>): void {
    const { roster } = this.#options.replica;
    if (roster.get(id) === undefined) {
      return roster.wasRemoved(id) ? done(DONE) : refuse(done, 'BAD_MEMBERSHIP', `"${id}" is not a member`);
    }
    this.#propose([{ kind: 'remove', id }], [], done);
  }

  /** Calls back once the transfer has begun; who leads then is seen in the status. */
  transfer(to: NodeId, done: Done<void>): void {
    const result = this.#options.replica.raft.transferLeadership(to);
    if (result.ok || result.reason === 'leads-already') return done(DONE);
    if (result.reason === 'not-a-voter')
      return refuse(done, 'BAD_MEMBERSHIP', `"${to}" is not a voter, and cannot lead`);
    done({ ok: false, error: new PolarisError(result.reason === 'transferring' ? 'MEMBERSHIP_BUSY' : 'NO_LEADER') });
  }

  tick(now: number): void {
    if (now < this.#nextLookAt) return;
    this.#nextLookAt = now + LOOK_EVERY_MS;
    const { replica, send } = this.#options;
    const status = replica.status();
    for (const [id, { regressed }] of status.progress) {
      if (!regressed) continue;
      const detail = `"${id}" lost entries that it had acknowledged; its data directory cannot be trusted: join under a new id`;
      send(id, { type: 'expelled', code: 'LOG_DAMAGED', detail });
    }
    if (!this.#promoting) this.#promoteNext(status);
  }

  #promoteNext({ configuration, progress, commit }: RaftStatus): void {
    const { roster } = this.#options.replica;
    const ready = configuration.learners.find((id) => {
      const learner = progress.get(id);
      return learner !== undefined && hasCaughtUp(learner, commit) && roster.get(id)?.promote === true;
    });
    if (ready === undefined) return;
    this.#promoting = true;
    // Not possible just now? The next look tries again.
    this.promote(ready, () => {
      this.#promoting = false;
    });
  }

  #propose(changes: ConfChange['changes'], newcomers: readonly RosterMember[], done: Done<void>): void {
    const { replica } = this.#options;
    const lost = quorumLost(replica.status(), changes);
    if (lost !== null) return refuse(done, 'BAD_MEMBERSHIP', lost);
    replica.proposeMembers({ change: { transition: 'auto', changes }, newcomers }, done);
  }
}

/** The voter that is nearest to the leader, and was heard lately; null when there is none. */
export function successor({ id: own, configuration, progress }: RaftStatus): NodeId | null {
  let next: NodeId | null = null;
  for (const id of configuration.voters) {
    const peer = progress.get(id);
    if (id === own || peer === undefined || !peer.recentActive) continue;
    if (next === null || peer.match > (progress.get(next)?.match ?? 0)) next = id;
  }
  return next;
}

/** A short log is no excuse: whoever has not acknowledged anything in this term may not even live. */
function hasCaughtUp({ match, recentActive, regressed }: MemberProgress, commit: LogIndex): boolean {
  return match > 0 && recentActive && !regressed && match + CAUGHT_UP_ENTRIES >= commit;
}

/** Why the cluster could not go on after the change, or null. */
function quorumLost({ id: own, configuration, progress }: RaftStatus, changes: ConfChange['changes']): string | null {
  const voters = new Set(configuration.voters);
  for (const { kind, id } of changes) {
    if (kind === 'add-voter') voters.add(id);
    else voters.delete(id);
  }
  // A learner more or less decides nothing.
  if (voters.size === configuration.voters.length && configuration.voters.every((id) => voters.has(id))) return null;
  if (voters.size === 0) return 'the last voter cannot be removed';
  const heard = [...voters].filter((id) => id === own || progress.get(id)?.recentActive === true);
  const needed = Math.floor(voters.size / 2) + 1;
  if (heard.length >= needed) return null;
  return `of the ${voters.size} voters that there would be, ${heard.length} answer and ${needed} are needed: the cluster would stop`;
}

function refuse(done: Done<void>, code: 'BAD_MEMBERSHIP' | 'INSTANCE_MISMATCH', detail: string): void {
  done({ ok: false, error: new PolarisError(code, detail) });
}
