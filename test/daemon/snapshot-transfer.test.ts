/** Sender and receiver of snapshots against each other, over a line that does what each test wants. */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { must } from '../../src/base/assert.ts';
import {
  SNAPSHOT_BURST_BYTES,
  SNAPSHOT_BYTES_MAX,
  SNAPSHOT_BYTES_PER_SECOND,
  SNAPSHOT_OFFER_MS,
  SNAPSHOT_PARTIAL_MS,
  SNAPSHOT_STUCK_MS,
  SNAPSHOT_TRANSFER_MS_MAX,
  SNAPSHOT_WINDOW_CHUNKS,
} from '../../src/base/limits.ts';
import type { Logger } from '../../src/base/log.ts';
import { createPrng } from '../../src/base/prng.ts';
import { SnapshotReceiver } from '../../src/daemon/snapshot-receiver.ts';
import { SnapshotSender } from '../../src/daemon/snapshot-sender.ts';
import { configurationOf } from '../../src/raft/configuration.ts';
import type { RaftMessage } from '../../src/raft/types.ts';
import type { TransferMessage } from '../../src/wire/messages.ts';

type SnapshotMessage = Extract<RaftMessage, { type: 'snapshot' }>;

const CHUNK_BYTES = 10;
const configuration = configurationOf(['n1', 'n2', 'n3']);

function snapshotOf(index: number, bytes: number, term = 1, from = 'n1', to = 'n2'): SnapshotMessage {
  const data = bytes > 2 ** 16 ? new Uint8Array(bytes).fill(index) : createPrng(index).bytes(bytes);
  return { type: 'snapshot', from, to, term, snapshot: { meta: { index, term: 1, configuration }, data } };
}

/** Followers and leaders on one line, on which every message waits until it is delivered. */
class Line {
  now = 0;
  readonly standing = { term: 1, commit: 1 };
  readonly told: string[] = [];
  readonly received: SnapshotMessage[] = [];
  readonly moved: string[] = [];
  readonly senders = new Map<string, SnapshotSender>();
  readonly receiver: SnapshotReceiver;
  waiting: { from: string; to: string; message: TransferMessage }[] = [];
  /** Bytes of all chunks that were sent. */
  chunkBytes = 0;
  readonly #log: Logger;

  constructor() {
    const say = (_fields: object, event: string): void => void this.told.push(event);
    this.#log = { debug: say, info: say, warn: say, error: say };
    this.receiver = new SnapshotReceiver({
      id: 'n2',
      log: this.#log,
      send: (to, message) => this.waiting.push({ from: 'n2', to, message }),
      standing: () => this.standing,
      complete: (message) => {
        this.received.push(message);
        this.standing.commit = message.snapshot.meta.index;
      },
    });
  }

  leader(id = 'n1', chunkBytes = CHUNK_BYTES): SnapshotSender {
    const sender = new SnapshotSender({
      log: this.#log,
      chunkBytes,
      send: (to, message) => {
        if (message.type === 'snapshot-chunk') this.chunkBytes += message.data.length;
        this.waiting.push({ from: id, to, message });
      },
      headway: (to) => this.moved.push(to),
    });
    this.senders.set(id, sender);
    return sender;
  }

  /** Delivers the first message that waits, as what `spoil` makes of it. */
  deliverOne(spoil: (message: TransferMessage) => readonly TransferMessage[] = (message) => [message]): void {
    const { from, to, message } = must(this.waiting.shift(), 'a message waits');
    for (const one of spoil(message)) {
      if (one.type === 'snapshot-ack') this.senders.get(to)?.acknowledged(from, one, this.now);
      else if (one.type === 'snapshot-offer') this.receiver.offered(from, one, this.now);
      else this.receiver.received(from, one, this.now);
    }
  }

  deliverAll(spoil?: (message: TransferMessage) => readonly TransferMessage[]): void {
    while (this.waiting.length > 0) this.deliverOne(spoil);
  }

  tick(ms: number): void {
    this.now += ms;
    for (const sender of this.senders.values()) sender.tick(this.now);
    this.receiver.tick(this.now);
  }

  count(event: string): number {
    return this.told.filter((one) => one === event).length;
  }
}

/** Loses the chunk with this number, once. */
function losing(number: number): (message: TransferMessage) => TransferMessage[] {
  let seen = 0;
  return (message) => {
    if (message.type === 'snapshot-chunk') seen += 1;
    return message.type === 'snapshot-chunk' && seen === number ? [] : [message];
  };
}

describe('a snapshot in chunks', () => {
  test('reaches the core of the follower as the one message that it was', () => {
    const line = new Line();
    const leader = line.leader();
    const message = snapshotOf(20, 205);
    leader.start(message, 0);
    line.deliverAll();
    expect(line.received).toEqual([message]);
    expect(line.chunkBytes).toBe(205);
    expect(leader.transferCount).toBe(0);
    expect(line.receiver.heldBytes).toBe(0);
    expect(line.count('snapshot-sent')).toBe(1);
    expect(line.moved).toHaveLength(21);
  });

  test('has no more than a window under way', () => {
    const line = new Line();
    line.leader().start(snapshotOf(20, 500), 0);
    line.deliverOne();
    line.deliverOne();
    expect(line.waiting).toHaveLength(SNAPSHOT_WINDOW_CHUNKS);
    while (line.waiting.length > 0) {
      line.deliverOne();
      expect(line.waiting.length).toBeLessThanOrEqual(SNAPSHOT_WINDOW_CHUNKS);
    }
    expect(line.received).toHaveLength(1);
  });

  test('keeps to its bytes a second', () => {
    const line = new Line();
    const chunkBytes = SNAPSHOT_BURST_BYTES / 4;
    line.leader('n1', chunkBytes).start(snapshotOf(20, 16 * SNAPSHOT_BURST_BYTES), 0);
    line.deliverAll();
    expect(line.chunkBytes).toBe(SNAPSHOT_BURST_BYTES);
    for (let ticks = 0; ticks < 10; ticks++) {
      line.tick(20);
      line.deliverAll();
      expect(line.chunkBytes).toBeLessThanOrEqual(
        SNAPSHOT_BURST_BYTES + (line.now / 1_000) * SNAPSHOT_BYTES_PER_SECOND,
      );
    }
    const dripped = 0.2 * SNAPSHOT_BYTES_PER_SECOND;
    expect(line.chunkBytes).toBeGreaterThan(SNAPSHOT_BURST_BYTES + dripped - 2 * chunkBytes);
  });

  test('takes turns with those to other followers', () => {
    const line = new Line();
    const chunkBytes = SNAPSHOT_BURST_BYTES / 4;
    const leader = line.leader('n1', chunkBytes);
    for (const to of ['n2', 'n3']) leader.start(snapshotOf(20, 16 * SNAPSHOT_BURST_BYTES, 1, 'n1', to), 0);
    line.waiting = [];
    const order: string[] = [];
    for (const [to, attempt] of [
      ['n2', 1],
      ['n3', 2],
    ] as const) {
      leader.acknowledged(to, { type: 'snapshot-ack', term: 1, attempt, offset: 0 }, 0);
    }
    // Two chunks drip in 20 ms.
    line.waiting = [];
    for (let ticks = 0; ticks < 3; ticks++) line.tick((1_000 * 2 * chunkBytes) / SNAPSHOT_BYTES_PER_SECOND);
    for (const { to, message } of line.waiting) if (message.type === 'snapshot-chunk') order.push(to);
    expect(order.filter((to) => to === 'n3')).toHaveLength(3);
    expect(order).toHaveLength(6);
  });
});

describe('a snapshot over a bad line', () => {
  test('goes on after a lost chunk, and repeats no more than a window', () => {
    const line = new Line();
    line.leader().start(snapshotOf(20, 400), 0);
    line.deliverAll(losing(15));
    expect(line.received).toEqual([]);
    expect(line.receiver.heldBytes).toBe(140);
    line.tick(SNAPSHOT_OFFER_MS);
    line.deliverAll();
    expect(line.received).toEqual([snapshotOf(20, 400)]);
    expect(line.count('snapshot-resumed')).toBe(1);
    expect(line.chunkBytes).toBeLessThanOrEqual(400 + SNAPSHOT_WINDOW_CHUNKS * CHUNK_BYTES);
  });

  test('is taken once though every message comes twice', () => {
    const line = new Line();
    line.leader().start(snapshotOf(20, 300), 0);
    line.deliverAll((message) => [message, message]);
    expect(line.received).toEqual([snapshotOf(20, 300)]);
    expect(line.chunkBytes).toBe(300);
  });

  test('resumes where a broken connection left it: what is held is not sent again', () => {
    const line = new Line();
    line.leader().start(snapshotOf(20, 1_000), 0);
    while (line.receiver.heldBytes < 500) line.deliverOne();
    const before = line.chunkBytes;
    line.waiting = [];
    line.tick(SNAPSHOT_OFFER_MS);
    line.deliverAll();
    expect(line.received).toEqual([snapshotOf(20, 1_000)]);
    expect(line.chunkBytes - before).toBe(500);
    expect(line.count('snapshot-resumed')).toBe(1);
  });

  test('begins anew with a follower that was restarted', () => {
    const line = new Line();
    const leader = line.leader();
    leader.start(snapshotOf(20, 1_000), 0);
    while (line.receiver.heldBytes < 500) line.deliverOne();
    const other = new Line();
    other.senders.set('n1', leader);
    line.waiting = [];
    line.tick(SNAPSHOT_OFFER_MS);
    // The sender speaks on the first line, the restarted follower on the second.
    for (let round = 0; round < 300; round++) {
      other.waiting.push(...line.waiting.splice(0));
      other.now = line.now;
      if (other.waiting.length > 0) other.deliverOne();
    }
    expect(other.received).toEqual([snapshotOf(20, 1_000)]);
    expect(leader.transferCount).toBe(0);
  });

  test('refuses a chunk whose bytes do not fit its checksum', () => {
    const line = new Line();
    line.leader().start(snapshotOf(20, 200), 0);
    let isFirst = true;
    line.deliverAll((message) => {
      if (message.type !== 'snapshot-chunk' || message.offset !== 100 || !isFirst) return [message];
      isFirst = false;
      const data = message.data.map((byte) => byte ^ 1);
      return [{ ...message, data }];
    });
    expect(line.count('snapshot-chunk-damaged')).toBe(1);
    expect(line.receiver.heldBytes).toBe(100);
    line.tick(SNAPSHOT_OFFER_MS);
    line.deliverAll();
    expect(line.received).toEqual([snapshotOf(20, 200)]);
  });

  test('refuses a whole whose bytes do not fit their hash, keeps nothing of it, and ends', () => {
    const line = new Line();
    const leader = line.leader();
    leader.start(snapshotOf(20, 200), 0);
    const lie = (message: TransferMessage): TransferMessage[] => [
      message.type === 'snapshot-offer' ? { ...message, hash: '0'.repeat(64) } : message,
    ];
    while (leader.transferCount > 0) {
      line.deliverAll(lie);
      expect(line.receiver.heldBytes).toBe(0);
      line.tick(100);
      expect(line.now).toBeLessThan(2 * SNAPSHOT_STUCK_MS);
    }
    expect(line.received).toEqual([]);
    expect(line.count('snapshot-damaged')).toBeGreaterThan(0);
    expect(line.count('snapshot-gave-up')).toBe(1);
  });

  test('arrives whatever a line loses, doubles and puts out of order, once the line is good', () => {
    const deeds = fc.array(fc.constantFrom('deliver', 'deliver', 'deliver', 'lose', 'double', 'swap', 'tick'), {
      maxLength: 300,
    });
    fc.assert(
      fc.property(deeds, fc.integer({ min: 1, max: 300 }), (schedule, bytes) => {
        const line = new Line();
        line.leader().start(snapshotOf(20, bytes), 0);
        for (const deed of schedule) {
          if (deed === 'tick') line.tick(20);
          const [first] = line.waiting;
          if (first === undefined || deed === 'tick') continue;
          if (deed === 'lose') line.waiting.shift();
          if (deed === 'double') line.waiting.push(first);
          if (deed === 'swap') line.waiting.push(must(line.waiting.shift(), 'a message'));
          if (deed === 'deliver') line.deliverOne();
        }
        for (let ticks = 0; ticks < 200; ticks++) {
          line.deliverAll();
          line.tick(20);
        }
        expect(line.received).toEqual([snapshotOf(20, bytes)]);
        expect(line.senders.get('n1')?.transferCount).toBe(0);
      }),
      { numRuns: 200 },
    );
  });
});

describe('a snapshot that time overtakes', () => {
  test('gives way to a newer one of its leader', () => {
    const line = new Line();
    const leader = line.leader();
    leader.start(snapshotOf(20, 300), 0);
    while (line.receiver.heldBytes < 100) line.deliverOne();
    leader.start(snapshotOf(30, 200), 0);
    line.deliverAll();
    expect(line.received).toEqual([snapshotOf(30, 200)]);
    expect(line.count('snapshot-replaced')).toBe(2);
    expect(leader.transferCount).toBe(0);
  });

  test('goes on when the core asks for the same once more', () => {
    const line = new Line();
    const leader = line.leader();
    leader.start(snapshotOf(20, 1_000), 0);
    while (line.receiver.heldBytes < 500) line.deliverOne();
    const before = line.chunkBytes;
    leader.start(snapshotOf(20, 1_000), 0);
    line.deliverAll();
    expect(line.received).toHaveLength(1);
    expect(line.count('snapshot-replaced')).toBe(0);
    expect(line.chunkBytes - before).toBeLessThanOrEqual(500);
  });

  test('goes on from where it is when a new leader has the same bytes', () => {
    const line = new Line();
    line.leader().start(snapshotOf(20, 1_000), 0);
    while (line.receiver.heldBytes < 500) line.deliverOne();
    line.standing.term = 2;
    line.deliverAll();
    expect(line.receiver.heldBytes).toBe(500);
    line.senders.get('n1')?.stop();
    const before = line.chunkBytes;
    line.leader('n3').start(snapshotOf(20, 1_000, 2, 'n3'), 0);
    line.deliverAll();
    expect(line.received).toEqual([snapshotOf(20, 1_000, 2, 'n3')]);
    expect(line.chunkBytes - before).toBe(500);
    expect(line.count('snapshot-resumed')).toBe(1);
  });

  test('is dropped when a new leader has another one, and the old leader is not heard any more', () => {
    const line = new Line();
    line.leader().start(snapshotOf(20, 1_000), 0);
    while (line.receiver.heldBytes < 500) line.deliverOne();
    line.standing.term = 2;
    line.leader('n3').start(snapshotOf(25, 300, 2, 'n3'), 0);
    line.deliverAll();
    line.tick(SNAPSHOT_OFFER_MS);
    line.deliverAll();
    expect(line.received).toEqual([snapshotOf(25, 300, 2, 'n3')]);
    expect(line.count('snapshot-replaced')).toBe(1);
  });

  test('is not asked for again by a follower that has more by now', () => {
    const line = new Line();
    const leader = line.leader();
    leader.start(snapshotOf(20, 300), 0);
    line.standing.commit = 25;
    line.deliverAll();
    expect(line.chunkBytes).toBe(0);
    expect(leader.transferCount).toBe(0);
  });

  test('is given up when nobody answers, after ever rarer offers, and begun again when the core asks again', () => {
    const line = new Line();
    const leader = line.leader();
    leader.start(snapshotOf(20, 300), 0);
    const offeredAt: number[] = [];
    while (leader.transferCount > 0) {
      if (line.waiting.splice(0).length > 0) offeredAt.push(line.now);
      line.tick(20);
    }
    expect(line.now).toBe(SNAPSHOT_STUCK_MS);
    expect(offeredAt).toEqual([0, 500, 1_500, 3_500]);
    expect(line.count('snapshot-gave-up')).toBe(1);
    leader.start(snapshotOf(20, 300), line.now);
    line.deliverAll();
    expect(line.received).toHaveLength(1);
  });

  test('is given up in bounded time by a line that never quite stops', () => {
    const line = new Line();
    const leader = line.leader();
    leader.start(snapshotOf(20, 10_000), 0);
    while (leader.transferCount > 0) {
      for (let messages = 0; messages < 2 && line.waiting.length > 0; messages++) line.deliverOne();
      line.tick(400);
    }
    expect(line.now).toBeGreaterThanOrEqual(SNAPSHOT_TRANSFER_MS_MAX);
    expect(line.now).toBeLessThan(SNAPSHOT_TRANSFER_MS_MAX + 1_000);
  });

  test('is forgotten by a follower that hears no more of it', () => {
    const line = new Line();
    line.leader().start(snapshotOf(20, 300), 0);
    while (line.receiver.heldBytes < 100) line.deliverOne();
    line.tick(SNAPSHOT_PARTIAL_MS - 1);
    expect(line.receiver.heldBytes).toBe(100);
    line.tick(1);
    expect(line.receiver.heldBytes).toBe(0);
  });

  test('is not taken when it claims more than a snapshot may have', () => {
    const line = new Line();
    const { meta } = snapshotOf(20, 1).snapshot;
    const offer = { type: 'snapshot-offer', term: 1, attempt: 1, meta, hash: 'f' } as const;
    line.receiver.offered('n1', { ...offer, bytes: SNAPSHOT_BYTES_MAX + 1 }, 0);
    line.receiver.offered('n1', { ...offer, bytes: 0 }, 0);
    expect(line.waiting).toEqual([]);
  });
});
