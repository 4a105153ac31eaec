/**
 * Features: what all members of a cluster understand, so that the leader writes nothing that one of them cannot read.
 *
 * A command goes into the log of every member, and one that does not know it would have to stop. So each kind of command
 * has the protocol version with which it came, and the leader proposes it only when every member has announced at least
 * that version in its hello. A member that this node has not heard since it started counts as the oldest that may
 * connect at all: with a mistake of that kind a command is refused for a moment, never written too soon.
 *
 * Workers are not counted: they read no log.
 */
import { unreachable } from '../base/assert.ts';
import { ANNOUNCED_MAX, PROTOCOL, PROTOCOL_MIN } from '../base/limits.ts';
import type { NodeId } from '../base/types.ts';
import type { Command } from '../ranges/types.ts';
import type { Hello } from '../wire/messages.ts';

export class Features {
  readonly #self: NodeId;
  /** The version that each node announced last; kept when it is gone, for it may come back as it was. */
  readonly #announced = new Map<NodeId, number>();

  constructor(self: NodeId) {
    this.#self = self;
  }

  heard({ nodeId, protocol, role }: Pick<Hello, 'nodeId' | 'protocol' | 'role'>): void {
    if (role !== 'voter') return;
    // Behind all others: the longest unheard is forgotten first, and then counts as the oldest version.
    this.#announced.delete(nodeId);
    this.#announced.set(nodeId, protocol);
    for (const longestUnheard of this.#announced.keys()) {
      if (this.#announced.size <= ANNOUNCED_MAX) return;
      this.#announced.delete(longestUnheard);
    }
  }

  /** The lowest version among these members, and never more than our own. */
  level(members: readonly NodeId[]): number {
    let level = PROTOCOL;
    for (const id of members) {
      if (id !== this.#self) level = Math.min(level, this.#announced.get(id) ?? PROTOCOL_MIN);
    }
    return level;
  }
}

/** The version with which a kind of command came. */
export function protocolOf(kind: Command['kind']): number {
  switch (kind) {
    case 'submit-job':
    case 'control-job':
    case 'worker-join':
    case 'worker-expire':
    case 'worker-suspect':
    case 'worker-heard':
    case 'grant':
    case 'progress':
    case 'complete':
    case 'fail':
    case 'release':
    case 'retry-job':
    case 'set-job':
    case 'job-notified':
    case 'put-schedule':
    case 'drop-schedule':
    case 'fire-schedule':
    case 'shrink':
    case 'put-dataset':
    case 'drop-dataset':
    case 'pin-dataset':
    case 'condemn':
    case 'checkpoint':
    case 'take-master':
    case 'fold':
    case 'finish-master':
    case 'master-failed':
      return 1;
    default:
      return unreachable(kind);
  }
}
