/**
 * Electorate: who belonged to the cluster at each index, by the committed entries alone.
 *
 * It follows the changes with rules of its own, so that a wrong core cannot talk the checkers into agreeing. The daemon
 * changes one member at a time; whoever wants joint changes here must teach the electorate what a majority of them is.
 *
 * A leader counts by the configuration that it has applied, and proposes a change only once the one before is applied.
 * So what it commits is on a majority of the present voters or of those before the last change, and of no others.
 */
import { must } from '../../src/base/assert.ts';
import type { Address, InstanceId, NodeId } from '../../src/base/types.ts';
import type { MemberChange } from '../../src/daemon/roster.ts';
import { expectThat } from './violation.ts';

export interface Elector {
  readonly id: NodeId;
  readonly address: Address;
  /** Null for a founder: the record binds it, not an entry. */
  readonly instanceId: InstanceId | null;
  /** Becomes a voter by itself. */
  readonly promote: boolean;
}

export class Electorate {
  readonly #members = new Map<NodeId, Elector>();
  readonly #removed = new Set<NodeId>();
  #voters: ReadonlySet<NodeId>;
  #votersBefore: ReadonlySet<NodeId>;

  constructor(founders: readonly { readonly id: NodeId; readonly address: Address }[]) {
    for (const founder of founders) this.#members.set(founder.id, { ...founder, instanceId: null, promote: false });
    this.#voters = new Set(founders.map(({ id }) => id));
    this.#votersBefore = this.#voters;
  }

  get voters(): ReadonlySet<NodeId> {
    return this.#voters;
  }

  get members(): ReadonlyMap<NodeId, Elector> {
    return this.#members;
  }

  wasRemoved(id: NodeId): boolean {
    return this.#removed.has(id);
  }

  /** The next committed entry changes the members. */
  apply({ change, newcomers }: MemberChange): void {
    const [only, ...others] = change.changes;
    const isSimple = change.transition === 'auto' && only !== undefined && others.length === 0;
    expectThat(isSimple, () => `a change of the members that no node should have asked for: ${JSON.stringify(change)}`);
    const { kind, id } = must(only, 'one change');
    const newcomer = newcomers.find((member) => member.id === id);
    expectThat(!this.#removed.has(id) || kind === 'remove', () => `${id} was removed, and its id is given again`);
    const voters = new Set(this.#voters);
    if (kind === 'remove') {
      voters.delete(id);
      if (this.#members.delete(id)) this.#removed.add(id);
    } else {
      if (newcomer !== undefined && !this.#members.has(id)) this.#members.set(id, newcomer);
      expectThat(this.#members.has(id), () => `${id} becomes a member, and nobody knows where it is`);
      if (kind === 'add-voter') voters.add(id);
      else voters.delete(id);
    }
    expectThat(voters.size > 0, () => `no voter is left after the removal of ${id}`);
    if (voters.size === this.#voters.size && [...voters].every((voter) => this.#voters.has(voter))) return;
    this.#votersBefore = this.#voters;
    this.#voters = voters;
  }

  /** Whether those of whom it holds are enough to have committed something. */
  isQuorum(holds: (id: NodeId) => boolean): boolean {
    return [this.#voters, this.#votersBefore].some((voters) => {
      return 2 * [...voters].filter(holds).length > voters.size;
    });
  }
}
