/**
 * Snapshot sender: the leader's half of a transfer. The core hands out a snapshot as one message; here it becomes an
 * offer and chunks, on a channel of their own.
 *
 *   offering --ack--> sending --all acked--> over
 *       ^                |  no headway for a while, as when a connection broke
 *       +----------------+
 *   offering or sending --no headway for long, or replaced--> over
 *
 * An offer is answered with the offset from which the follower wants to go on. So one rule covers a lost chunk, a broken
 * connection and a restarted follower: offer again. Time is an argument.
 *
 * Invariants: one transfer a follower · at most a window of chunks is not acknowledged · all transfers together keep to
 * the bytes a second of one bucket · a transfer ends in bounded time, and holds its own bytes, so that the log can be
 * compacted behind it.
 */
import { crc32 } from 'node:zlib';
import { assert } from '../base/assert.ts';
import {
  SNAPSHOT_BURST_BYTES,
  SNAPSHOT_BYTES_MAX,
  SNAPSHOT_BYTES_PER_SECOND,
  SNAPSHOT_CHUNK_BYTES,
  SNAPSHOT_OFFER_MS,
  SNAPSHOT_STUCK_MS,
  SNAPSHOT_TRANSFER_MS_MAX,
  SNAPSHOT_WINDOW_CHUNKS,
} from '../base/limits.ts';
import type { Logger } from '../base/log.ts';
import type { NodeId, Term } from '../base/types.ts';
import type { RaftMessage, Snapshot } from '../raft/types.ts';
import type { TransferMessage } from '../wire/messages.ts';
import { TokenBucket } from './snapshot-throttle.ts';
import { tableHash } from './state-hash.ts';

type SnapshotMessage = Extract<RaftMessage, { type: 'snapshot' }>;
type Ack = Extract<TransferMessage, { type: 'snapshot-ack' }>;

export interface SnapshotSenderOptions {
  readonly log: Logger;
  readonly send: (to: NodeId, message: TransferMessage) => void;
  /** The follower holds more than ever before: the core need not ask after the snapshot yet. */
  readonly headway: (to: NodeId) => void;
  readonly chunkBytes?: number | undefined;
}

interface Transfer {
  readonly to: NodeId;
  readonly term: Term;
  readonly snapshot: Snapshot;
  readonly hash: string;
  readonly startedAt: number;
  attempt: number;
  /** The present offer is answered. */
  answered: boolean;
  /** The follower holds everything below. */
  acked: number;
  /** The next chunk begins here. */
  next: number;
  /** Most that it ever held: only more than that is headway, or a transfer that always fails at its end would live on. */
  best: number;
  headwayAt: number;
  offerAt: number;
  offerDelayMs: number;
}

export class SnapshotSender {
  readonly #options: SnapshotSenderOptions;
  readonly #chunkBytes: number;
  readonly #bucket = new TokenBucket({ perSecond: SNAPSHOT_BYTES_PER_SECOND, brim: SNAPSHOT_BURST_BYTES });
  /** Whose turn it is comes first. */
  readonly #transfers = new Map<NodeId, Transfer>();
  #attempt = 0;
  /** Several followers mostly want the same bytes. */
  #hashed: { readonly data: Uint8Array; readonly hash: string } | null = null;

  constructor(options: SnapshotSenderOptions) {
    this.#options = options;
    this.#chunkBytes = options.chunkBytes ?? SNAPSHOT_CHUNK_BYTES;
    assert(this.#chunkBytes <= SNAPSHOT_BURST_BYTES, 'a chunk fits into the bucket');
  }

  get transferCount(): number {
    return this.#transfers.size;
  }

  /** The core asks for a snapshot to be sent. What is under way to that follower goes on, or gives way to a newer one. */
  start(message: SnapshotMessage, now: number): void {
    const { to, term, snapshot } = message;
    const { index } = snapshot.meta;
    const bytes = snapshot.data.length;
    assert(bytes > 0 && bytes <= SNAPSHOT_BYTES_MAX, 'the limits of the table keep a snapshot below its own');
    const present = this.#transfers.get(to);
    if (present?.term === term && present.snapshot.meta.index === index) {
      present.headwayAt = now;
      this.#offer(present, now, SNAPSHOT_OFFER_MS);
      return;
    }
    if (present !== undefined) {
      this.#options.log.info({ to, index: present.snapshot.meta.index, by: index }, 'snapshot-replaced');
    }
    const transfer: Transfer = {
      ...{ to, term, snapshot, hash: this.#hash(snapshot.data), startedAt: now },
      ...{ attempt: 0, answered: false, acked: 0, next: 0, best: 0 },
      ...{ headwayAt: now, offerAt: now, offerDelayMs: SNAPSHOT_OFFER_MS },
    };
    this.#transfers.set(to, transfer);
    this.#options.log.info({ to, index, bytes }, 'snapshot-offered');
    this.#offer(transfer, now, SNAPSHOT_OFFER_MS);
  }

  acknowledged(from: NodeId, ack: Ack, now: number): void {
    const transfer = this.#transfers.get(from);
    // What is left over of an earlier offer says nothing about this one.
    if (transfer === undefined || ack.term !== transfer.term || ack.attempt !== transfer.attempt) return;
    const bytes = transfer.snapshot.data.length;
    if (ack.offset > bytes) return;
    if (!transfer.answered) this.#answered(transfer, ack.offset);
    transfer.acked = Math.max(transfer.acked, ack.offset);
    transfer.next = Math.max(transfer.next, transfer.acked);
    if (transfer.acked > transfer.best) this.#headway(transfer, now);
    if (transfer.acked === bytes) {
      this.#transfers.delete(from);
      const ms = Math.round(now - transfer.startedAt);
      this.#options.log.info({ to: from, index: transfer.snapshot.meta.index, bytes, ms }, 'snapshot-sent');
    }
    this.#pump(now);
  }

  tick(now: number): void {
    for (const transfer of [...this.#transfers.values()]) {
      const stuck = now - transfer.headwayAt >= SNAPSHOT_STUCK_MS;
      if (stuck || now - transfer.startedAt >= SNAPSHOT_TRANSFER_MS_MAX) this.#giveUp(transfer);
      else if (now >= transfer.offerAt) this.#offer(transfer, now, 2 * transfer.offerDelayMs);
    }
    this.#pump(now);
  }

  /** This node leads no more in the term in which it began them. */
  stop(): void {
    this.#transfers.clear();
    this.#hashed = null;
  }

  #offer(transfer: Transfer, now: number, nextDelayMs: number): void {
    transfer.attempt = ++this.#attempt;
    transfer.answered = false;
    transfer.offerDelayMs = nextDelayMs;
    transfer.offerAt = now + nextDelayMs;
    const { to, term, attempt, snapshot, hash } = transfer;
    const { meta, data } = snapshot;
    this.#options.send(to, { type: 'snapshot-offer', term, attempt, meta, bytes: data.length, hash });
  }

  /** The follower says where to go on: back, where something was lost, or forward, if it holds some from before. */
  #answered(transfer: Transfer, offset: number): void {
    const { to, snapshot } = transfer;
    transfer.answered = true;
    transfer.acked = offset;
    transfer.next = offset;
    if (offset > 0 && offset < snapshot.data.length) {
      this.#options.log.info({ to, index: snapshot.meta.index, offset }, 'snapshot-resumed');
    }
  }

  #headway(transfer: Transfer, now: number): void {
    transfer.best = transfer.acked;
    transfer.headwayAt = now;
    transfer.offerDelayMs = SNAPSHOT_OFFER_MS;
    transfer.offerAt = now + SNAPSHOT_OFFER_MS;
    this.#options.headway(transfer.to);
  }

  #giveUp(transfer: Transfer): void {
    const { to, snapshot, best } = transfer;
    this.#transfers.delete(to);
    const fields = { to, index: snapshot.meta.index, bytes: snapshot.data.length, held: best };
    this.#options.log.warn(fields, 'snapshot-gave-up');
  }

  /** Chunks in turn for all that may have one. Who had one goes to the end, and is visited there again. */
  #pump(now: number): void {
    for (const transfer of this.#transfers.values()) {
      if (!this.#sendChunk(transfer, now)) continue;
      this.#transfers.delete(transfer.to);
      this.#transfers.set(transfer.to, transfer);
    }
  }

  #sendChunk(transfer: Transfer, now: number): boolean {
    const { to, term, attempt, next, acked, answered } = transfer;
    const { data: all } = transfer.snapshot;
    if (!answered || next >= all.length || next - acked >= SNAPSHOT_WINDOW_CHUNKS * this.#chunkBytes) return false;
    const data = all.subarray(next, next + this.#chunkBytes);
    if (!this.#bucket.take(data.length, now)) return false;
    transfer.next += data.length;
    this.#options.send(to, { type: 'snapshot-chunk', term, attempt, offset: next, crc: crc32(data), data });
    return true;
  }

  #hash(data: Uint8Array): string {
    if (this.#hashed?.data !== data) this.#hashed = { data, hash: tableHash(data) };
    return this.#hashed.hash;
  }
}
