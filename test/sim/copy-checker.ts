/**
 * Copy checker: no name dangles. What a committed name stands for lies where whoever put it says that it lies, until the
 * name stands for something else.
 *
 * It keeps books of its own: which copies were counted for which put, what each name stands for, and when each blob was
 * condemned. A put counts on the copies that it was made with. One that names a blob which is held already may count on
 * those of the holder instead: they stay for as long as anybody holds it.
 *
 * Checked: a put that is committed counts on copies that are still there · no copy that is counted on is deleted by a
 * keeper · nothing that a name stands for is condemned, and all else is · the table's own invariants after each change.
 * Disks that were taken away excuse the copies on them.
 */
import type { BlobHash } from '../../src/base/handle.ts';
import type { LogIndex, NodeId } from '../../src/base/types.ts';
import { checkTable } from '../../src/ranges/invariants.ts';
import type { Command, TableEvent } from '../../src/ranges/types.ts';
import type { AppliedCommand, Auditor } from './auditor.ts';
import type { Shelves, Stored } from './shelves.ts';
import type { Trace } from './trace.ts';
import { expectThat } from './violation.ts';

type CommandOf<K extends Command['kind']> = Extract<Command, { readonly kind: K }>;

export class CopyChecker {
  readonly #auditor: Auditor;
  readonly #trace: Trace;
  readonly #isHeldByJobs: (hash: BlobHash) => boolean;
  readonly #shelves: () => Pick<Shelves, 'has'>;
  /** Nodes whose copies were counted, by the mark of the upload. */
  readonly #counted = new Map<number, Set<NodeId>>();
  readonly #standing = new Map<string, BlobHash>();
  readonly #condemned = new Map<BlobHash, LogIndex>();
  /** Nodes whose copies are counted on, for each blob that is held. */
  readonly #reliedOn = new Map<BlobHash, Set<NodeId>>();

  constructor(
    auditor: Auditor,
    trace: Trace,
    shelves: () => Pick<Shelves, 'has'>,
    isHeldByJobs: (hash: BlobHash) => boolean,
  ) {
    this.#isHeldByJobs = isHeldByJobs;
    this.#auditor = auditor;
    this.#trace = trace;
    this.#shelves = shelves;
    auditor.onApplied((applied) => this.#applied(applied));
  }

  /** `mark` is the number of rows in the handle: no two uploads have the same. */
  stored(mark: number, { nodes }: Stored): void {
    this.#counted.set(mark, new Set(nodes));
  }

  wiped(id: NodeId): void {
    for (const nodes of this.#counted.values()) nodes.delete(id);
    for (const nodes of this.#reliedOn.values()) nodes.delete(id);
  }

  /** A keeper has deleted a copy. */
  deleted(id: NodeId, hash: BlobHash, stamp: LogIndex): void {
    const isReliedOn = this.#reliedOn.get(hash)?.has(id) === true;
    expectThat(!isReliedOn, () => `${id} deletes its copy of blob ${hash}, stamped ${stamp}, and a name stands on it`);
  }

  checkAll(): void {
    for (const [hash, nodes] of this.#reliedOn) for (const id of nodes) this.#isThere(id, hash);
    for (const [name, hash] of this.#standing) {
      const told = this.#auditor.table.dataset(name)?.handle.hash;
      expectThat(told === hash, () => `dataset ${name} stands for blob ${told}, and ${hash} was put last`);
    }
  }

  #applied({ index, command, outcome, events }: AppliedCommand): void {
    switch (command?.kind) {
      case 'put-dataset':
        if (outcome.kind === 'put') this.#put(command);
        break;
      case 'drop-dataset':
        if (outcome.kind === 'dropped') this.#release(command.name);
        break;
      case 'condemn':
        this.#condemn(index, command, events);
        break;
      default:
        return;
    }
    checkTable(this.#auditor.table);
  }

  #put({ name, handle: { hash, rows: mark }, stamp }: CommandOf<'put-dataset'>): void {
    const reliedOn = this.#reliedOn.get(hash);
    if (stamp >= (this.#condemned.get(hash) ?? 0)) {
      const counted = this.#counted.get(mark);
      expectThat(counted !== undefined, () => `dataset ${name} is put, and nobody has stored what it stands for`);
      for (const id of counted) this.#isThere(id, hash);
      this.#reliedOn.set(hash, new Set([...counted, ...(reliedOn ?? [])]));
    } else {
      this.#trace.count('dataset: put on the copies of another');
      expectThat(
        reliedOn !== undefined,
        () => `dataset ${name} is put with copies of blob ${hash} from index ${stamp}, which was condemned since`,
      );
    }
    // Held anew before the former is released: they may be the same.
    const former = this.#standing.get(name);
    this.#standing.set(name, hash);
    if (former !== undefined) this.#forget(former);
  }

  #release(name: string): void {
    const hash = this.#standing.get(name);
    expectThat(hash !== undefined, () => `dataset ${name} is dropped, and there was none`);
    this.#standing.delete(name);
    this.#forget(hash);
  }

  #forget(hash: BlobHash): void {
    if (![...this.#standing.values()].includes(hash)) this.#reliedOn.delete(hash);
  }

  #condemn(index: LogIndex, { hashes }: CommandOf<'condemn'>, events: readonly TableEvent[]): void {
    const condemned = new Set(events.flatMap((event) => (event.kind === 'blobs-condemned' ? event.hashes : [])));
    for (const hash of hashes) {
      const isHeld = this.#reliedOn.has(hash) || this.#isHeldByJobs(hash);
      this.#trace.count(isHeld ? 'dataset: condemned in vain' : 'dataset: condemned');
      expectThat(
        condemned.has(hash) !== isHeld,
        () => `blob ${hash} is ${isHeld ? '' : 'not '}held, and is ${isHeld ? '' : 'not '}condemned`,
      );
      if (!isHeld) this.#condemned.set(hash, index);
    }
  }

  #isThere(id: NodeId, hash: BlobHash): void {
    expectThat(
      this.#shelves().has(id, hash),
      () => `a name stands on the copy of blob ${hash} on ${id}, which is gone`,
    );
  }
}
