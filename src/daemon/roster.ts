/**
 * Roster: the replicated book of members, beside the job table in every snapshot.
 *
 * Raft's configuration says who counts; the roster says which data directory each id is bound to and where it listens.
 * Both change by the same entries of the log, so every node that has applied them knows the same members. Those who were
 * removed are remembered for a while: a node that was away when it happened is told so, and its id is not given again.
 *
 * Invariants: the members are those of the configuration, no more and no fewer · an id is bound to one data directory
 * for good · equal rosters are equal bytes.
 */
import { Packr } from 'msgpackr';
import { assert } from '../base/assert.ts';
import { PolarisError } from '../base/errors.ts';
import { REMOVED_MEMBERS_MAX } from '../base/limits.ts';
import type { Address, InstanceId, NodeId } from '../base/types.ts';
import type { ConfChange, Configuration } from '../raft/types.ts';

export interface RosterMember {
  readonly id: NodeId;
  readonly instanceId: InstanceId;
  readonly address: Address;
  /** A learner that becomes a voter as soon as it has caught up. */
  readonly promote: boolean;
}

/** What an entry of the log does to the membership. `newcomers` are those of its changes that were no members before. */
export interface MemberChange {
  readonly change: ConfChange;
  readonly newcomers: readonly RosterMember[];
}

const packr = new Packr({ useRecords: false, mapsAsObjects: false });

/** A byte that no MessagePack value begins with, so that no command of the job table looks like a change. */
const TAG = 0xc1;
const TRANSITIONS = ['auto', 'joint-implicit', 'joint-explicit'] as const;
const KINDS = ['add-voter', 'add-learner', 'remove'] as const;

export class Roster {
  #members = new Map<NodeId, RosterMember>();
  #removed: NodeId[] = [];

  /** In id order. */
  members(): readonly RosterMember[] {
    return [...this.#members.values()];
  }

  get(id: NodeId): RosterMember | undefined {
    return this.#members.get(id);
  }

  wasRemoved(id: NodeId): boolean {
    return this.#removed.includes(id);
  }

  /** Takes the newcomers in, and lets go whom the new configuration no longer names. */
  apply({ newcomers }: MemberChange, configuration: Configuration): void {
    const named = new Set([...configuration.voters, ...configuration.votersOutgoing, ...configuration.learners]);
    const known = new Map(this.#members);
    for (const member of newcomers) if (!known.has(member.id)) known.set(member.id, member);
    for (const id of known.keys()) {
      if (named.has(id)) continue;
      known.delete(id);
      this.#removed.push(id);
    }
    this.#removed = this.#removed.slice(-REMOVED_MEMBERS_MAX);
    this.#members = new Map([...known].sort(([left], [right]) => (left < right ? -1 : 1)));
    assert(
      [...named].every((id) => this.#members.has(id)),
      'whoever the configuration names stands in the roster',
    );
  }

  /** Canonical bytes. */
  snapshot(): Uint8Array {
    return packr.pack([this.members().map(memberRow), this.#removed]);
  }

  restore(bytes: Uint8Array): void {
    const [members, removed] = packr.unpack(bytes) as [readonly unknown[], NodeId[]];
    this.#members = new Map(members.map(memberOf).map((member) => [member.id, member]));
    this.#removed = [...removed];
  }
}

/** Bytes of a roster that nobody has changed yet. */
export function foundingRoster(members: readonly Omit<RosterMember, 'promote'>[]): Uint8Array {
  const rows = members.map((member) => memberRow({ ...member, promote: false }));
  return packr.pack([rows, []]);
}

/** The payload of an entry that changes the membership. */
export function encodeMemberChange({ change, newcomers }: MemberChange): Uint8Array {
  const changes = change.changes.map(({ kind, id }) => [KINDS.indexOf(kind), id]);
  const body = packr.pack([TRANSITIONS.indexOf(change.transition), changes, newcomers.map(memberRow)]);
  const payload = new Uint8Array(1 + body.length);
  payload[0] = TAG;
  payload.set(body, 1);
  return payload;
}

/** The change that an entry holds; null when it holds a command of the job table. @throws PolarisError LOG_DAMAGED */
export function decodeMemberChange(payload: Uint8Array): MemberChange | null {
  if (payload[0] !== TAG) return null;
  const [transition, changes, newcomers] = packr.unpack(payload.subarray(1)) as [number, [number, NodeId][], unknown[]];
  return {
    change: {
      transition: oneOf(TRANSITIONS, transition),
      changes: changes.map(([kind, id]) => ({ kind: oneOf(KINDS, kind), id })),
    },
    newcomers: newcomers.map(memberOf),
  };
}

/** The roster and the job table as one snapshot: u32 length of the roster, big-endian | roster | table. */
export function encodeImage(roster: Uint8Array, table: Uint8Array): Uint8Array {
  const image = new Uint8Array(4 + roster.length + table.length);
  new DataView(image.buffer).setUint32(0, roster.length);
  image.set(roster, 4);
  image.set(table, 4 + roster.length);
  return image;
}

export function decodeImage(image: Uint8Array): { readonly roster: Uint8Array; readonly table: Uint8Array } {
  if (image.length < 4) throw new PolarisError('LOG_DAMAGED', `a snapshot has ${image.length} bytes`);
  const end = 4 + new DataView(image.buffer, image.byteOffset, image.byteLength).getUint32(0);
  if (end > image.length) throw new PolarisError('LOG_DAMAGED', 'the roster of a snapshot is cut off');
  return { roster: image.subarray(4, end), table: image.subarray(end) };
}

function memberRow({ id, instanceId, address, promote }: RosterMember): readonly unknown[] {
  return [id, instanceId, address, promote];
}

function memberOf(row: unknown): RosterMember {
  const [id, instanceId, address, promote] = row as [NodeId, InstanceId, Address, boolean];
  return { id, instanceId, address, promote };
}

function oneOf<T>(values: readonly T[], at: number): T {
  const value = values[at];
  if (value === undefined) throw new PolarisError('LOG_DAMAGED', `an entry of the log changes the membership by ${at}`);
  return value;
}
