/**
 * Keeper: sees to it that the disk of this node holds what it should, and little else.
 *
 * Every few seconds it walks through its copies and its table. A blob that the log refers to and that is not here is fetched:
 * every voter holds all of them soon, so that each may be replaced by an empty one, in turn. A copy that the log gave up is
 * deleted. One that nothing refers to is first left alone for a while, since whoever stored it may be about to name it, and
 * then put up to be condemned. And now and then one copy is read from end to end, so that damage is found while there are
 * others to mend it from.
 *
 * The leader's keeper drops datasets whose time has come, too.
 *
 * Invariants: a copy is deleted only where the table says that it may be, at the stamp that was looked at · one round at a
 * time, and every failure of it is said and forgotten: the next round looks again.
 */
import { errorText, PolarisError } from '../../base/errors.ts';
import type { BlobHash } from '../../base/handle.ts';
import {
  BLOB_GRACE_MS,
  BLOB_PULLS_MAX,
  BLOB_SCRUB_MS,
  BLOB_SWEEP_MS,
  CONDEMNED_PER_ENTRY_MAX,
  CONDEMNED_PER_ROUND_MAX,
} from '../../base/limits.ts';
import type { Logger } from '../../base/log.ts';
import type { NodeId } from '../../base/types.ts';
import type { DataChange, NodeApi } from '../../daemon/api.ts';
import type { Clock } from '../../daemon/env.ts';
import { type Dataset, expiresAt } from '../../ranges/datasets.ts';
import type { Outcome } from '../../ranges/types.ts';
import type { BlobEntry, BlobStore } from '../../store/blobs/types.ts';
import type { Depot } from './depot.ts';
import { localTable } from './local-table.ts';
import type { BlobPeers } from './peers.ts';

export interface KeeperOptions {
  readonly api: Pick<NodeApi, 'id' | 'status' | 'read' | 'leads' | 'leaderAddress' | 'changeData'>;
  readonly store: BlobStore;
  readonly depot: Pick<Depot, 'pull' | 'isUnderWay' | 'isRetained'>;
  readonly peers: Pick<BlobPeers, 'condemn' | 'lacking'>;
  readonly clock: Clock;
  readonly log: Logger;
  /** Shorter in tests. */
  readonly graceMs?: number;
  readonly scrubMs?: number;
}

/** What one round did. */
export interface Round {
  readonly pulled: number;
  readonly deleted: number;
  readonly condemned: number;
  readonly dropped: number;
}

export class Keeper {
  readonly #options: KeeperOptions;
  /** When each blob that nothing refers to was first seen so, by the monotonic clock. */
  readonly #unheldSince = new Map<BlobHash, number>();
  /** Where the walk of the scrub stands: the blob that was read last. */
  #scrubbed: BlobHash = '';
  #scrubAt = Number.NEGATIVE_INFINITY;
  #timer: NodeJS.Timeout | null = null;
  #round: Promise<void> = Promise.resolve();
  #stopped = false;

  constructor(options: KeeperOptions) {
    this.#options = options;
  }

  start(): void {
    this.#timer = setTimeout(() => {
      this.#round = this.round().then(
        () => this.start(),
        (cause: unknown) => {
          this.#say(cause);
          this.start();
        },
      );
    }, BLOB_SWEEP_MS);
    this.#timer.unref();
    if (this.#stopped) clearTimeout(this.#timer);
  }

  /** Resolves when the round that is under way is over. */
  async stop(): Promise<void> {
    this.#stopped = true;
    if (this.#timer !== null) clearTimeout(this.#timer);
    await this.#round;
  }

  /** Blobs that the log refers to and that have no copy here. @throws PolarisError NO_LEADER before there is a table. */
  async lacking(): Promise<BlobHash[]> {
    const copies = new Set((await this.#copies()).map(({ hash }) => hash));
    const held = await localTable(this.#options.api, (table) => [...table.heldBlobs()]);
    const lacking: BlobHash[] = [];
    for (const hash of held) {
      // The list may miss what is stamped anew meanwhile.
      if (!copies.has(hash) && (await this.#options.store.stat(hash)) === null) lacking.push(hash);
    }
    return lacking;
  }

  /**
   * Why a member should not be removed just now; null when nothing speaks against it. A majority of the voters that are left
   * must hold everything that the log refers to: what lies on the one that goes counts for nothing any more.
   */
  async hindrance(leaving: NodeId): Promise<string | null> {
    const { api, peers } = this.#options;
    const heldBlobs = await localTable(api, (table) => [...table.heldBlobs()].length);
    const { members } = api.status();
    const isLearner = members.some(({ id, role }) => id === leaving && role === 'learner');
    if (heldBlobs === 0 || isLearner) return null;
    const left = members.filter(({ id, role }) => id !== leaving && role !== 'learner');
    const lacking = await Promise.all(
      left.map(async ({ id, address }) => {
        if (id === api.id) return (await this.lacking()).length;
        return peers.lacking(address).catch(() => heldBlobs);
      }),
    );
    const complete = lacking.filter((count) => count === 0).length;
    if (complete >= Math.floor(left.length / 2) + 1) return null;
    return `${complete} of the ${left.length} voters that are left hold all ${heldBlobs} blobs; the others fetch what they lack`;
  }

  /** One round. @throws PolarisError NO_LEADER before there is a table, and what the store says. */
  async round(): Promise<Round> {
    await this.#scrubNext();
    const pulled = await this.#pullAll(await this.lacking());
    const { deleted, garbage } = await this.#clear();
    return { pulled, deleted, condemned: await this.#putUp(garbage), dropped: await this.#dropExpired() };
  }

  /** In one walk: of a store that is far away, a request for a thousand. */
  async #copies(): Promise<BlobEntry[]> {
    const entries: BlobEntry[] = [];
    for await (const entry of this.#options.store.list()) entries.push(entry);
    return entries;
  }

  // ---- what is missing ----------------------------------------------------------------------------------------------

  async #pullAll(lacking: readonly BlobHash[]): Promise<number> {
    const waiting = [...lacking];
    let pulled = 0;
    const lane = async (): Promise<void> => {
      for (let hash = waiting.shift(); hash !== undefined && !this.#stopped; hash = waiting.shift()) {
        try {
          await this.#options.depot.pull(hash);
          pulled += 1;
          this.#options.log.info({ hash }, 'blob-pulled');
        } catch (cause) {
          this.#say(cause);
        }
      }
    };
    await Promise.all(Array.from({ length: BLOB_PULLS_MAX }, lane));
    return pulled;
  }

  /** Reads the next copy from end to end. A damaged one goes, and is lacking from then on. */
  async #scrubNext(): Promise<void> {
    const { clock, scrubMs = BLOB_SCRUB_MS } = this.#options;
    if (clock.now() < this.#scrubAt) return;
    this.#scrubAt = clock.now() + scrubMs;
    let first: BlobHash | null = null;
    let next: BlobHash | null = null;
    for await (const { hash } of this.#options.store.list()) {
      first ??= hash;
      if (hash > this.#scrubbed) {
        next = hash;
        break;
      }
    }
    this.#scrubbed = next ?? first ?? '';
    if (this.#scrubbed === '') return;
    if (await this.#options.store.discard(this.#scrubbed)) {
      this.#options.log.error({ hash: this.#scrubbed }, 'blob-damaged');
    }
  }

  // ---- what is too much ---------------------------------------------------------------------------------------------

  /** Deletes what may go, and gives what nothing has referred to for so long that it should be condemned. */
  async #clear(): Promise<{ readonly deleted: number; readonly garbage: readonly BlobHash[] }> {
    const { api, store, depot, clock, graceMs = BLOB_GRACE_MS } = this.#options;
    const entries = await this.#copies();
    const judged = await localTable(api, (table) =>
      entries.map((entry) => ({
        ...entry,
        isHeld: table.isHeld(entry.hash),
        mayGo: table.mayDeleteBlob(entry.hash, entry.stamp),
      })),
    );
    const now = clock.now();
    const unheld = new Set<BlobHash>();
    const garbage: BlobHash[] = [];
    let deleted = 0;
    for (const { hash, stamp, isHeld, mayGo } of judged) {
      // What somebody stores or reads out here waits, whatever the log says of it.
      if (isHeld || depot.isUnderWay(hash) || depot.isRetained(hash)) continue;
      // Stamped anew since we looked, it stays.
      if (mayGo && (await store.deleteBelow(hash, stamp + 1))) {
        deleted += 1;
        continue;
      }
      unheld.add(hash);
      const since = this.#unheldSince.get(hash) ?? now;
      this.#unheldSince.set(hash, since);
      if (now - since >= graceMs) garbage.push(hash);
    }
    for (const hash of this.#unheldSince.keys()) if (!unheld.has(hash)) this.#unheldSince.delete(hash);
    return { deleted, garbage };
  }

  /** Entry after entry; what is more than a round takes has its turn in the next. */
  async #putUp(garbage: readonly BlobHash[]): Promise<number> {
    const { api, peers } = this.#options;
    const round = garbage.slice(0, CONDEMNED_PER_ROUND_MAX);
    for (let at = 0; at < round.length; at += CONDEMNED_PER_ENTRY_MAX) {
      const hashes = round.slice(at, at + CONDEMNED_PER_ENTRY_MAX);
      if (api.leads()) await change(api, { kind: 'condemn', hashes });
      else {
        const leader = api.leaderAddress();
        if (leader === null) return at;
        await peers.condemn(leader, hashes);
      }
      for (const hash of hashes) this.#unheldSince.delete(hash);
    }
    return round.length;
  }

  async #dropExpired(): Promise<number> {
    const { api, clock, log } = this.#options;
    if (!api.leads()) return 0;
    const now = clock.wall();
    const isOver = (dataset: Dataset) => (expiresAt(dataset) ?? Number.POSITIVE_INFINITY) <= now;
    const expired = await localTable(api, (table) => [...table.datasets()].filter(isOver));
    for (const { name, version } of expired) {
      await change(api, { kind: 'drop-dataset', name, expected: version });
      log.info({ dataset: name, version }, 'dataset-expired');
    }
    return expired.length;
  }

  /** A node without a leader, or without a peer, has nothing to say that is not said elsewhere. */
  #say(cause: unknown): void {
    const isQuiet = cause instanceof PolarisError && cause.code === 'NO_LEADER';
    if (!isQuiet && !this.#stopped) this.#options.log.warn({ error: errorText(cause) }, 'keeper-failed');
  }
}

function change(api: Pick<NodeApi, 'changeData'>, wanted: DataChange): Promise<Outcome> {
  return new Promise((resolve, reject) => {
    api.changeData(wanted, (result) => (result.ok ? resolve(result.value) : reject(result.error)));
  });
}
