/**
 * Depot: the blobs of a cluster, seen from one node. What is stored here is on enough disks before anybody names it, and
 * what is read here may lie anywhere.
 *
 * The order of a write is the whole of its safety: store (durable), copy to voters (each durable), and only then may the log
 * speak of it, with the smallest stamp of the copies that count. A read takes this node's own copy, piece by piece, and
 * turns to another node for whatever is missing or damaged here; every piece is judged before it is handed on.
 *
 * Copies that are on their way to others are left alone meanwhile, whatever is condemned: the bytes came once, and whoever
 * sent them should not have to send them again because another node took its time.
 *
 * Invariants: what `keep` resolves with is durable on `replicas` voters · no byte leaves `open` that the hash does not vouch for.
 */
import type { BlobPlace } from '../../base/config.ts';
import { errorText, PolarisError } from '../../base/errors.ts';
import type { BlobHash } from '../../base/handle.ts';
import type { Logger } from '../../base/log.ts';
import type { Address, LogIndex, NodeId } from '../../base/types.ts';
import type { NodeApi } from '../../daemon/api.ts';
import { type PieceCache, readThrough } from '../../store/blobs/cache.ts';
import { checkDigests, checkPiece, cutsOf, digestOf, pieceRange } from '../../store/blobs/pieces.ts';
import type { BlobStore, ByteRange } from '../../store/blobs/types.ts';
import { localTable } from './local-table.ts';
import type { BlobPeers } from './peers.ts';

export interface DepotOptions {
  readonly api: Pick<NodeApi, 'id' | 'status' | 'read'>;
  readonly store: BlobStore;
  readonly peers: BlobPeers;
  readonly cache: Pick<PieceCache, 'piece'>;
  readonly log: Logger;
  /** Copies on voters before anything is named; null: a majority of them. */
  readonly replicas: number | null;
  /**
   * Where the store lies. A directory and a bucket are one place for all nodes: what is there is there for everybody, and
   * copied to nobody. What a bucket gives is kept in the cache, since each read of it is a request; of a directory that is
   * mounted the system keeps what was read, and it should not lie in memory twice.
   */
  readonly place: BlobPlace['kind'];
}

/** A blob that is on enough disks to be named. */
export interface KeptBlob {
  readonly hash: BlobHash;
  readonly bytes: number;
  /** The smallest of the copies that count. */
  readonly stamp: LogIndex;
}

/** A blob that somebody has. */
export interface OpenBlob {
  readonly bytes: number;
  /** Fails in the middle, with BLOB_MISSING or BLOB_DAMAGED, when the last good copy goes away meanwhile. */
  read(range?: ByteRange): AsyncIterable<Uint8Array>;
}

interface Peer {
  readonly id: NodeId;
  readonly address: Address;
}

/** Somebody with a copy, and the digests by which it is judged. */
interface Holder extends Peer {
  readonly digests: Uint8Array;
}

export class Depot {
  readonly #options: DepotOptions;
  /** Blobs whose copy here was found damaged, and that are on their way from elsewhere. */
  readonly #mending = new Set<BlobHash>();
  /** How many are storing each blob just now, from the moment that its hash is known. */
  readonly #underWay = new Map<BlobHash, number>();
  /** Blobs that are being read out here, and by how many readers. */
  readonly #readers = new Map<BlobHash, number>();

  constructor(options: DepotOptions) {
    this.#options = options;
  }

  /**
   * Stores the content here and copies it to as many voters as must have it.
   *
   * @throws PolarisError what the source throws, BLOB_TOO_LARGE, BLOB_STORE_FULL, and TOO_FEW_COPIES when voters cannot be reached.
   */
  async keep(source: AsyncIterable<Uint8Array>, maxBytes: number): Promise<KeptBlob> {
    const { store, api } = this.#options;
    const stamp = await localTable(api, ({ appliedIndex }) => appliedIndex);
    const { hash, bytes } = await store.put(source, { stamp, maxBytes });
    return { hash, bytes, stamp: await this.#guarding(hash, () => this.#copyOut(hash, stamp)) };
  }

  /**
   * Stamps the copies anew, making those that are gone, and gives the smallest stamp.
   *
   * @throws PolarisError as `keep`, and BLOB_CONDEMNED when there is none left to make them of.
   */
  async keepAgain(hash: BlobHash): Promise<LogIndex> {
    const { store, api } = this.#options;
    return this.#guarding(hash, async () => {
      const stamp = await localTable(api, ({ appliedIndex }) => appliedIndex);
      if (!(await store.restamp(hash, stamp))) await this.#pullAgain(hash);
      return this.#copyOut(hash, stamp);
    });
  }

  /** Somebody stores it just now: its copy here may look like garbage, and is none yet. */
  isUnderWay(hash: BlobHash): boolean {
    return this.#underWay.has(hash);
  }

  /** @throws PolarisError BLOB_MISSING when no node has it, UNREACHABLE when one that may have it cannot be asked. */
  async open(hash: BlobHash): Promise<OpenBlob> {
    const own = await this.#options.store.stat(hash);
    const bytes = own?.bytes ?? (await this.#holder(hash)).bytes;
    return { bytes, read: (range = { start: 0, end: bytes }) => this.#read(hash, bytes, range) };
  }

  /**
   * Whether some copy has this stamp or a later one. What is named with it is then there, or the log refuses the name.
   *
   * @throws PolarisError TOO_FEW_COPIES when no copy that can be seen has it, and one that cannot may.
   */
  async isStamped(hash: BlobHash, stamp: LogIndex): Promise<boolean> {
    const { store, peers } = this.#options;
    const own = await store.stat(hash);
    if (own !== null && own.stamp >= stamp) return true;
    const asked = this.#others().map(async ({ address }) => {
      const stat = await peers.stat(address, hash);
      if (stat === null || stat.stamp < stamp) throw new PolarisError('BLOB_MISSING');
    });
    return Promise.any(asked).then(
      () => true,
      ({ errors }: AggregateError) => {
        const silent = errors.find((error) => !(error instanceof PolarisError && error.code === 'BLOB_MISSING'));
        if (silent === undefined) return false;
        throw new PolarisError('TOO_FEW_COPIES', `the copies of blob ${hash} cannot be seen: ${errorText(silent)}`);
      },
    );
  }

  /**
   * Keeps the copies that lie here until the reader says that it is done: a job may leave the table, and a dataset be
   * replaced, while somebody slow reads what it was. To be called before the reading; what this gives is to be called once.
   */
  retain(hashes: readonly BlobHash[]): () => void {
    for (const hash of hashes) this.#readers.set(hash, (this.#readers.get(hash) ?? 0) + 1);
    return () => {
      for (const hash of hashes) {
        const count = (this.#readers.get(hash) ?? 0) - 1;
        if (count > 0) this.#readers.set(hash, count);
        else this.#readers.delete(hash);
      }
    };
  }

  isRetained(hash: BlobHash): boolean {
    return this.#readers.has(hash);
  }

  /** Has this node hold a copy, from whoever has one. */
  async pull(hash: BlobHash): Promise<void> {
    const { store, api } = this.#options;
    const { bytes } = await this.#holder(hash);
    const stamp = await localTable(api, ({ appliedIndex }) => appliedIndex);
    await store.put(this.#readRemote(hash, bytes, { start: 0, end: bytes }), {
      stamp,
      maxBytes: bytes,
      expected: hash,
    });
  }

  // ---- writing ------------------------------------------------------------------------------------------------------

  async #guarding<T>(hash: BlobHash, run: () => Promise<T>): Promise<T> {
    this.#underWay.set(hash, (this.#underWay.get(hash) ?? 0) + 1);
    try {
      return await run();
    } finally {
      const left = (this.#underWay.get(hash) ?? 1) - 1;
      if (left > 0) this.#underWay.set(hash, left);
      else this.#underWay.delete(hash);
    }
  }

  async #pullAgain(hash: BlobHash): Promise<void> {
    await this.pull(hash).catch((cause: unknown) => {
      const isGone = cause instanceof PolarisError && cause.code === 'BLOB_MISSING';
      if (isGone) throw new PolarisError('BLOB_CONDEMNED', `${cause.detail}; store it again`, { cause });
      throw cause;
    });
  }

  /** Gives the smallest stamp. Voters are tried in an order that hangs on the hash, so that no node gets all copies. */
  async #copyOut(hash: BlobHash, own: LogIndex): Promise<LogIndex> {
    const { api, replicas, place } = this.#options;
    if (place !== 'local') return own;
    const voters = this.#members().filter(({ role }) => role !== 'learner');
    const others = rotated(
      voters.filter(({ id }) => id !== api.id),
      Number.parseInt(hash.slice(0, 8), 16),
    );
    const isVoter = others.length < voters.length;
    const wanted = Math.min(voters.length, replicas ?? Math.floor(voters.length / 2) + 1) - (isVoter ? 1 : 0);
    const stamps = isVoter ? [own] : [];
    const failures: string[] = [];
    const lane = async (): Promise<void> => {
      for (let peer = others.shift(); peer !== undefined; peer = others.shift()) {
        const stamp = await this.#copyTo(peer, hash).catch((cause: Error) => {
          failures.push(cause instanceof PolarisError ? cause.detail : cause.message);
          return null;
        });
        if (stamp === null) continue;
        stamps.push(stamp);
        return;
      }
    };
    await Promise.all(Array.from({ length: wanted }, lane));
    const [smallest] = stamps.sort((one, other) => one - other);
    const needed = wanted + (isVoter ? 1 : 0);
    if (smallest === undefined || stamps.length < needed) {
      const why = failures.length === 0 ? '' : `: ${failures.join('; ')}`;
      throw new PolarisError('TOO_FEW_COPIES', `${stamps.length} of ${needed} copies of blob ${hash} were made${why}`);
    }
    return smallest;
  }

  async #copyTo({ address }: Peer, hash: BlobHash): Promise<LogIndex> {
    const { peers, store } = this.#options;
    return (await peers.restamp(address, hash)) ?? (await peers.push(address, hash, store.read(hash)));
  }

  // ---- reading ------------------------------------------------------------------------------------------------------

  /** From this node's copy as long as that is good, then from others. */
  async *#read(hash: BlobHash, bytes: number, { start, end }: ByteRange): AsyncGenerator<Uint8Array> {
    let position = start;
    let damage: string | null = null;
    try {
      for await (const chunk of this.#readStore(hash, bytes, { start, end })) {
        position += chunk.length;
        yield chunk;
      }
      return;
    } catch (cause) {
      if (!isAboutCopy(cause)) throw cause;
      if (cause.code === 'BLOB_DAMAGED') damage = cause.detail;
    }
    try {
      yield* this.#readRemote(hash, bytes, { start: position, end });
    } finally {
      // Afterwards, with what has come already at hand in the cache.
      if (damage !== null) this.#mend(hash, damage);
    }
  }

  #readStore(hash: BlobHash, bytes: number, range: ByteRange): AsyncIterable<Uint8Array> {
    const { store, cache, place } = this.#options;
    return place === 's3' ? readThrough(cache, store, { hash, bytes }, range) : store.read(hash, range);
  }

  /** Has a good copy take the place of a damaged one. */
  #mend(hash: BlobHash, found: string): void {
    const { log, place } = this.#options;
    if (this.#mending.has(hash)) return;
    log.error({ hash, error: found }, 'blob-damaged');
    // In a shared store everybody has this very copy.
    if (place !== 'local') return;
    this.#mending.add(hash);
    this.pull(hash)
      .then(() => log.info({ hash }, 'blob-mended'))
      .catch((cause: unknown) => log.warn({ hash, error: errorText(cause) }, 'blob-not-mended'))
      .finally(() => this.#mending.delete(hash));
  }

  /** Piece by piece through the cache; a holder that fails is passed over, and the next one goes on where it stopped. */
  async *#readRemote(hash: BlobHash, bytes: number, wanted: ByteRange): AsyncGenerator<Uint8Array> {
    const tried: Tried = new Map();
    let holder: Holder | null = null;
    for (const { index, from, to } of cutsOf(bytes, wanted)) {
      const piece = await this.#options.cache.piece(hash, index, async () => {
        for (;;) {
          holder ??= await this.#digestsFrom(hash, bytes, tried);
          const found = await this.#pieceFrom(holder, hash, index, pieceRange(index, bytes), tried);
          if (found !== null) return found;
          holder = null;
        }
      });
      yield piece.subarray(from, to);
    }
  }

  async #digestsFrom(hash: BlobHash, bytes: number, tried: Tried): Promise<Holder> {
    for (;;) {
      const holder = await this.#holder(hash, tried);
      try {
        const digests = await this.#options.peers.digests(holder.address, hash);
        checkDigests(hash, bytes, digests);
        return { ...holder, digests };
      } catch (cause) {
        await this.#passOver(holder, hash, cause, tried);
      }
    }
  }

  /** Null when the peer fails, or sends other bytes. */
  async #pieceFrom(
    holder: Holder,
    hash: BlobHash,
    index: number,
    range: ByteRange,
    tried: Tried,
  ): Promise<Uint8Array | null> {
    try {
      const piece = await gathered(this.#options.peers.read(holder.address, hash, range), range.end - range.start);
      checkPiece(hash, index, await digestOf(piece), holder.digests);
      return piece;
    } catch (cause) {
      await this.#passOver(holder, hash, cause, tried);
      return null;
    }
  }

  /** Whoever finds damage in the middle of an answer breaks it off, just as one that dies: but then it still can be asked. */
  async #passOver({ id, address }: Peer, hash: BlobHash, cause: unknown, tried: Tried): Promise<void> {
    const { log, peers } = this.#options;
    log.warn({ hash, peer: id, error: errorText(cause) }, 'blob-not-from-peer');
    const answers = await peers.stat(address, hash).then(
      () => true,
      () => false,
    );
    tried.set(id, answers ? 'bad' : 'away');
  }

  /**
   * Another node with a copy; all are asked at once, and the first that has one is taken. A worker that has just joined may
   * know of nobody yet.
   */
  async #holder(hash: BlobHash, tried: Tried = new Map()): Promise<Peer & { readonly bytes: number }> {
    const { peers } = this.#options;
    const away = new Set([...tried].flatMap(([id, how]) => (how === 'away' ? [id] : [])));
    const asked = this.#others()
      .filter(({ id }) => !tried.has(id))
      .map(async ({ id, address }) => {
        const stat = await peers.stat(address, hash).catch((cause: unknown) => {
          away.add(id);
          throw cause;
        });
        if (stat === null) throw new PolarisError('BLOB_MISSING', `${id} has no copy of blob ${hash}`);
        return { id, address, bytes: stat.bytes };
      });
    return Promise.any(asked).catch(() => {
      const knowsNobody = this.#members().length === 0;
      if (!knowsNobody && away.size === 0)
        throw new PolarisError('BLOB_MISSING', `blob ${hash} lies on no node, as all of them say`);
      const who = knowsNobody ? 'any voter yet' : [...away].sort().join(' and ');
      throw new PolarisError('UNREACHABLE', `blob ${hash} lies on no node that could be asked: cannot reach ${who}`);
    });
  }

  #others(): readonly Peer[] {
    const { api } = this.#options;
    return this.#members().filter(({ id }) => id !== api.id);
  }

  #members(): readonly (Peer & { readonly role: string })[] {
    return this.#options.api.status().members;
  }
}

/** Holders that a reading has passed over, and why: they cannot be reached, or what they have is no good. */
type Tried = Map<NodeId, 'away' | 'bad'>;

/** What another copy may do better. */
function isAboutCopy(cause: unknown): cause is PolarisError {
  return cause instanceof PolarisError && (cause.code === 'BLOB_MISSING' || cause.code === 'BLOB_DAMAGED');
}

/** All of a piece. @throws PolarisError BAD_FRAME when it has another length. */
async function gathered(source: AsyncIterable<Uint8Array>, bytes: number): Promise<Uint8Array> {
  const piece = new Uint8Array(bytes);
  let filled = 0;
  for await (const chunk of source) {
    if (filled + chunk.length > bytes) throw new PolarisError('BAD_FRAME', `a piece is longer than ${bytes} bytes`);
    piece.set(chunk, filled);
    filled += chunk.length;
  }
  if (filled < bytes) throw new PolarisError('BAD_FRAME', `a piece ends after ${filled} of ${bytes} bytes`);
  return piece;
}

function rotated<T>(items: readonly T[], by: number): T[] {
  const at = items.length === 0 ? 0 : by % items.length;
  return [...items.slice(at), ...items.slice(0, at)];
}
