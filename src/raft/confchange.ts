/**
 * Confchange: from one configuration to the next.
 *
 * Two ways lead there (Raft §6, thesis §4). A change of one voter may be made in one step, because every majority of the
 * old voters shares a voter with every majority of the new ones. Any other change goes through a joint configuration, in
 * which both halves must agree, and then leaves it: the cluster is never without a rule that both sides accept.
 *
 * Everything here is a function of values that gives the next configuration, or says in a sentence why there is none.
 * A leader asks before it proposes; every node asks again when it applies, and gets the same answer.
 *
 * Invariants: never without voters · never joint twice · one voter at most differs in a simple change.
 */
import { unreachable } from '../base/assert.ts';
import { PolarisError } from '../base/errors.ts';
import { MEMBERS_MAX } from '../base/limits.ts';
import type { NodeId } from '../base/types.ts';
import { checked, isJoint, sorted } from './configuration.ts';
import type { ConfChange, Configuration } from './types.ts';

type Changes = ConfChange['changes'];

/** The change that leaves a joint configuration. */
export const LEAVE_JOINT: ConfChange = { transition: 'auto', changes: [] };

/** The configuration after this change. @throws PolarisError BAD_MEMBERSHIP. */
export function changed(configuration: Configuration, change: ConfChange): Configuration {
  const { transition, changes } = change;
  if (changes.length === 0) return leaveJoint(configuration);
  if (transition === 'auto' && changes.length === 1) return simple(configuration, changes);
  return enterJoint(configuration, changes, transition !== 'joint-explicit');
}

/** A change that needs no joint configuration. @throws PolarisError BAD_MEMBERSHIP. */
export function simple(configuration: Configuration, changes: Changes): Configuration {
  if (isJoint(configuration)) refuse('an earlier change is not finished: the joint configuration must be left first');
  const next = apply(configuration, changes);
  const before = configuration.voters;
  const differing =
    before.filter((id) => !next.voters.includes(id)).length + next.voters.filter((id) => !before.includes(id)).length;
  if (differing > 1) refuse(`${differing} voters differ, and only a joint change may do that`);
  return next;
}

/** The voters stay as the outgoing half, and the changes make the incoming one. @throws PolarisError BAD_MEMBERSHIP. */
export function enterJoint(configuration: Configuration, changes: Changes, autoLeave: boolean): Configuration {
  if (isJoint(configuration)) refuse('the configuration is joint already and must be left first');
  if (configuration.voters.length === 0) refuse('there are no voters that could agree to a change');
  return apply({ ...configuration, votersOutgoing: configuration.voters, autoLeave }, changes);
}

/** The incoming half decides alone from now on. @throws PolarisError BAD_MEMBERSHIP. */
export function leaveJoint(configuration: Configuration): Configuration {
  if (!isJoint(configuration)) refuse('there are no changes, and no joint configuration to leave');
  const { voters, learners, learnersNext } = configuration;
  return checked({
    voters,
    votersOutgoing: [],
    learners: sorted([...learners, ...learnersNext]),
    learnersNext: [],
    autoLeave: false,
  });
}

/** One change after the other, as sets. Each may be repeated: what is there already stays as it is. */
class Draft {
  readonly voters: Set<NodeId>;
  readonly votersOutgoing: Set<NodeId>;
  readonly learners: Set<NodeId>;
  readonly learnersNext: Set<NodeId>;

  constructor(configuration: Configuration) {
    this.voters = new Set(configuration.voters);
    this.votersOutgoing = new Set(configuration.votersOutgoing);
    this.learners = new Set(configuration.learners);
    this.learnersNext = new Set(configuration.learnersNext);
  }

  addVoter(id: NodeId): void {
    this.remove(id);
    this.voters.add(id);
  }

  /** A voter of the outgoing half votes on until the joint configuration is left: it becomes a learner only then. */
  addLearner(id: NodeId): void {
    this.remove(id);
    if (this.votersOutgoing.has(id)) this.learnersNext.add(id);
    else this.learners.add(id);
  }

  remove(id: NodeId): void {
    this.voters.delete(id);
    this.learners.delete(id);
    this.learnersNext.delete(id);
  }
}

function apply(configuration: Configuration, changes: Changes): Configuration {
  const draft = new Draft(configuration);
  for (const { kind, id } of changes) {
    if (id === '') refuse('a member has a name');
    switch (kind) {
      case 'add-voter':
        draft.addVoter(id);
        break;
      case 'add-learner':
        draft.addLearner(id);
        break;
      case 'remove':
        draft.remove(id);
        break;
      default:
        unreachable(kind);
    }
  }
  if (draft.voters.size === 0) refuse('no voter would be left');
  const memberCount = draft.voters.size + draft.learners.size;
  if (memberCount > MEMBERS_MAX) refuse(`${memberCount} members are more than ${MEMBERS_MAX}`);
  return checked({
    voters: sorted(draft.voters),
    votersOutgoing: configuration.votersOutgoing,
    learners: sorted(draft.learners),
    learnersNext: sorted(draft.learnersNext),
    autoLeave: configuration.autoLeave,
  });
}

function refuse(why: string): never {
  throw new PolarisError('BAD_MEMBERSHIP', why);
}
