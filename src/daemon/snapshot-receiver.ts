/**
 * Snapshot receiver: the follower's half of a transfer. It puts the chunks together and hands the whole to the core as
 * the one message that the leader's core had sent.
 *
 * What was received stays in memory when a connection, or even a leader, is lost: an offer of exactly the same bytes goes
 * on from there. Snapshots are canonical, so two leaders offer the same bytes at the same index.
 *
 * Invariants: one transfer at a time, the newest · bytes are taken in order and without a gap · the core sees the whole,
 * with the hash that was offered, or nothing.
 */
import { createHash, type Hash } from 'node:crypto';
import { crc32 } from 'node:zlib';
import { SNAPSHOT_BYTES_MAX, SNAPSHOT_PARTIAL_MS } from '../base/limits.ts';
import type { Logger } from '../base/log.ts';
import type { LogIndex, NodeId, Term } from '../base/types.ts';
import type { RaftMessage, SnapshotMeta } from '../raft/types.ts';
import type { TransferMessage } from '../wire/messages.ts';

type SnapshotMessage = Extract<RaftMessage, { type: 'snapshot' }>;
type Offer = Extract<TransferMessage, { type: 'snapshot-offer' }>;
type Chunk = Extract<TransferMessage, { type: 'snapshot-chunk' }>;

export interface SnapshotReceiverOptions {
  readonly id: NodeId;
  readonly log: Logger;
  readonly send: (to: NodeId, message: TransferMessage) => void;
  /** Where this node's Raft stands. */
  readonly standing: () => { readonly term: Term; readonly commit: LogIndex };
  /** All is there. */
  readonly complete: (message: SnapshotMessage) => void;
}

interface PartialSnapshot {
  from: NodeId;
  term: Term;
  /** Of the first and of the latest offer of these bytes in this term: chunks of either fit. */
  attemptMin: number;
  attemptMax: number;
  readonly meta: SnapshotMeta;
  readonly hash: string;
  readonly data: Uint8Array;
  readonly digest: Hash;
  held: number;
  heardAt: number;
}

export class SnapshotReceiver {
  readonly #options: SnapshotReceiverOptions;
  #partial: PartialSnapshot | null = null;

  constructor(options: SnapshotReceiverOptions) {
    this.#options = options;
  }

  /** Bytes that wait for the rest. */
  get heldBytes(): number {
    return this.#partial?.held ?? 0;
  }

  offered(from: NodeId, offer: Offer, now: number): void {
    const { term, commit } = this.#options.standing();
    if (offer.term < term || this.#isLate(from, offer)) return;
    if (offer.bytes < 1 || offer.bytes > SNAPSHOT_BYTES_MAX) {
      this.#options.log.error({ from, bytes: offer.bytes }, 'snapshot-too-large');
      return;
    }
    // The leader did not hear that we have it. Its core will find out by a small append.
    if (offer.meta.index <= commit) return this.#ack(from, offer.term, offer.attempt, offer.bytes);
    const partial = this.#matching(offer) ?? this.#begin(from, offer, now);
    if (partial.from !== from || partial.term !== offer.term) {
      partial.from = from;
      partial.term = offer.term;
      partial.attemptMin = offer.attempt;
    }
    partial.attemptMax = offer.attempt;
    partial.heardAt = now;
    this.#ack(from, offer.term, offer.attempt, partial.held);
  }

  received(from: NodeId, chunk: Chunk, now: number): void {
    const partial = this.#partial;
    if (partial === null || partial.from !== from || partial.term !== chunk.term) return;
    if (chunk.attempt < partial.attemptMin || chunk.attempt > partial.attemptMax) return;
    // A deposed leader; what it sent is kept for the next one.
    if (chunk.term < this.#options.standing().term) return;
    partial.heardAt = now;
    if (chunk.offset > partial.held) return;
    if (chunk.offset === partial.held && !this.#take(partial, chunk)) return;
    // Also for a chunk that came twice: our answer to it may have been lost.
    if (partial.held < partial.data.length) this.#ack(from, chunk.term, partial.attemptMax, partial.held);
    else this.#finish(partial);
  }

  tick(now: number): void {
    const partial = this.#partial;
    if (partial === null) return;
    const overtaken = partial.meta.index <= this.#options.standing().commit;
    if (overtaken || now - partial.heardAt >= SNAPSHOT_PARTIAL_MS) this.#partial = null;
  }

  /** An offer that newer ones of its sender overtook. */
  #isLate(from: NodeId, offer: Offer): boolean {
    const partial = this.#partial;
    if (partial === null || offer.term > partial.term) return false;
    return offer.term < partial.term || (partial.from === from && offer.attempt < partial.attemptMax);
  }

  #matching(offer: Offer): PartialSnapshot | null {
    const partial = this.#partial;
    if (partial === null || partial.hash !== offer.hash || partial.data.length !== offer.bytes) return null;
    return partial.meta.index === offer.meta.index && partial.meta.term === offer.meta.term ? partial : null;
  }

  #begin(from: NodeId, offer: Offer, now: number): PartialSnapshot {
    const { term, attempt, meta, hash, bytes } = offer;
    if (this.#partial !== null) {
      const { meta: old, held } = this.#partial;
      this.#options.log.info({ from, index: old.index, held, by: meta.index }, 'snapshot-replaced');
    }
    const partial: PartialSnapshot = {
      ...{ from, term, attemptMin: attempt, attemptMax: attempt, meta, hash },
      ...{ data: new Uint8Array(bytes), digest: createHash('sha256'), held: 0, heardAt: now },
    };
    this.#partial = partial;
    return partial;
  }

  #take(partial: PartialSnapshot, { data, crc, offset }: Chunk): boolean {
    const fits = data.length > 0 && offset + data.length <= partial.data.length;
    if (!fits || crc32(data) !== crc) {
      this.#options.log.warn({ from: partial.from, offset, bytes: data.length }, 'snapshot-chunk-damaged');
      return false;
    }
    partial.data.set(data, offset);
    partial.digest.update(data);
    partial.held += data.length;
    return true;
  }

  /** Without an answer the leader offers again, and so does it after a damaged whole, of which nothing can be kept. */
  #finish(partial: PartialSnapshot): void {
    const { from, term, meta, data, hash, attemptMax } = partial;
    this.#partial = null;
    if (partial.digest.digest('hex') !== hash) {
      this.#options.log.error({ from, index: meta.index, bytes: data.length }, 'snapshot-damaged');
      return;
    }
    this.#options.log.info({ from, index: meta.index, bytes: data.length }, 'snapshot-received');
    this.#options.complete({ type: 'snapshot', from, to: this.#options.id, term, snapshot: { meta, data } });
    this.#ack(from, term, attemptMax, data.length);
  }

  #ack(to: NodeId, term: Term, attempt: number, offset: number): void {
    this.#options.send(to, { type: 'snapshot-ack', term, attempt, offset });
  }
}
