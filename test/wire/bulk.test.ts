/** The bulk channel on loopback: a second socket that stands in nobody's way. */
import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { performance } from 'node:perf_hooks';
import { afterEach, describe, expect, test, vi } from 'vitest';
import { type WebSocket, WebSocketServer } from 'ws';
import {
  BULK_IDLE_MS,
  BULK_WAITING_MESSAGES_MAX,
  SNAPSHOT_CHUNK_BYTES,
  SNAPSHOT_WINDOW_CHUNKS,
} from '../../src/base/limits.ts';
import type { Logger } from '../../src/base/log.ts';
import { createPrng } from '../../src/base/prng.ts';
import type { NodeId } from '../../src/base/types.ts';
import { SnapshotReceiver } from '../../src/daemon/snapshot-receiver.ts';
import { SnapshotSender } from '../../src/daemon/snapshot-sender.ts';
import { configurationOf } from '../../src/raft/configuration.ts';
import type { RaftMessage } from '../../src/raft/types.ts';
import { decodeFrame, encodeHello, encodeWelcome } from '../../src/wire/codec.ts';
import type { TransferMessage, WireMessage } from '../../src/wire/messages.ts';
import { channelOf } from '../../src/wire/network.ts';
import { TestNode } from './switchboard.ts';

const nodes: TestNode[] = [];
const endings: (() => void)[] = [];
const QUIET: Logger = { debug() {}, info() {}, warn() {}, error() {} };

async function start(...options: Parameters<typeof TestNode.start>): Promise<TestNode> {
  const node = await TestNode.start(...options);
  nodes.push(node);
  return node;
}

afterEach(async () => {
  vi.useRealTimers();
  for (const end of endings.splice(0)) end();
  await Promise.all(nodes.splice(0).map((node) => node.stop()));
});

const heartbeat = (round: number): WireMessage => ({
  ...{ type: 'heartbeat', from: 'n1', to: 'n2', term: 1 },
  ...{ commit: 0, match: 0, round },
});

const chunk = (offset: number, bytes = 100): WireMessage => ({
  ...{ type: 'snapshot-chunk', term: 1, attempt: 1, offset, crc: 0 },
  data: new Uint8Array(bytes).fill(offset),
});

/** Only n1 dials, so every socket of n2 is one that it accepted. */
async function pair(): Promise<[TestNode, TestNode, string[]]> {
  const n1 = await start('n1');
  const n2 = await start('n2');
  const urls: string[] = [];
  n2.server.on('upgrade', (request) => urls.push(request.url ?? ''));
  n1.peers.dial(n2.address);
  await Promise.all([n1.next('connected', 'n2'), n2.next('connected', 'n1')]);
  return [n1, n2, urls];
}

/** A node of our own making: its control socket answers, its bulk socket is for the test. */
async function puppet(n1: TestNode): Promise<{ control: WebSocket; bulk: Promise<WebSocket> }> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = `127.0.0.1:${(server.address() as AddressInfo).port}`;
  const sockets = new WebSocketServer({ server });
  endings.push(() => {
    for (const socket of sockets.clients) socket.terminate();
    server.close();
  });
  const accepted = async (channel: string): Promise<WebSocket> => {
    for (;;) {
      const [socket, request] = await once(sockets, 'connection');
      if (request.url.includes('bulk') !== (channel === 'bulk')) continue;
      socket.send(encodeHello({ ...n1.hello, nodeId: 'n2', instanceId: 'instance of n2', address }));
      socket.send(encodeWelcome());
      return socket;
    }
  };
  const controlling = accepted('control');
  const bulk = accepted('bulk');
  n1.peers.dial(address);
  const control = await controlling;
  await n1.next('connected', 'n2');
  return { control, bulk };
}

describe('the bulk channel', () => {
  test('has a socket of its own, made by its first message, of which nobody is told', async () => {
    const [n1, n2, urls] = await pair();
    expect(urls).toEqual(['/raft']);
    for (let offset = 0; offset < BULK_WAITING_MESSAGES_MAX; offset++) n1.peers.send('n2', chunk(offset), 'bulk');
    for (let offset = 0; offset < BULK_WAITING_MESSAGES_MAX; offset++) {
      expect((await n2.next('message', 'n1')).message).toEqual(chunk(offset));
    }
    expect(urls).toEqual(['/raft', '/raft?channel=bulk']);
    expect(n1.count('connected') + n2.count('connected')).toBe(2);
    // The side that accepted has its own, when it has something to say.
    n2.peers.send('n1', chunk(7), 'bulk');
    expect((await n1.next('message', 'n2')).message).toEqual(chunk(7));
  });

  test('drops what waits beyond its limit, and what goes to nobody', async () => {
    const [n1, n2] = await pair();
    n1.peers.send('n9', chunk(1), 'bulk');
    for (let offset = 0; offset <= BULK_WAITING_MESSAGES_MAX; offset++) n1.peers.send('n2', chunk(offset), 'bulk');
    expect(n1.count('log', 'bulk-message-dropped')).toBe(1);
    for (let offset = 0; offset < BULK_WAITING_MESSAGES_MAX; offset++) await n2.next('message', 'n1');
    n1.peers.send('n2', chunk(99), 'bulk');
    expect((await n2.next('message', 'n1')).message).toEqual(chunk(99));
  });

  test('is closed when idle, without a word, and made anew by the next message', async () => {
    const [n1, n2, urls] = await pair();
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
    const upgraded = once(n2.server, 'upgrade');
    n1.peers.send('n2', chunk(1), 'bulk');
    const [, socket] = await upgraded;
    await n2.next('message', 'n1');
    vi.advanceTimersByTime(BULK_IDLE_MS - 1);
    expect(socket.destroyed).toBe(false);
    const closed = once(socket, 'close');
    vi.advanceTimersByTime(1);
    await closed;
    vi.useRealTimers();
    // The dialler's end is closed after ours: until then the line takes nothing.
    for (;;) {
      n1.peers.send('n2', chunk(2), 'bulk');
      n1.peers.send('n2', heartbeat(1));
      const { message } = await n2.next('message', 'n1');
      if (message?.type === 'snapshot-chunk' && message.offset === 2) break;
    }
    expect(urls.filter((url) => url.includes('bulk'))).toHaveLength(2);
    expect(n1.count('disconnected') + n2.count('disconnected')).toBe(0);
  });

  test('never delays the control channel, however slow it is', async () => {
    const n1 = await start('n1');
    const { control, bulk } = await puppet(n1);
    n1.peers.send('n2', chunk(0), 'bulk');
    const slow = await bulk;
    slow.pause();
    // Once both sides have welcomed each other, more than the kernel takes is queued, and a control message after it.
    const heard = new Promise<void>((resolve) => {
      control.on('message', (data: Buffer) => {
        const frame = decodeFrame(data, { from: 'n1', to: 'n2' });
        if (frame.kind === 'message' && frame.message.type === 'heartbeat') resolve();
      });
    });
    for (let offset = 0; offset < 64; offset++) n1.peers.send('n2', chunk(offset, SNAPSHOT_CHUNK_BYTES), 'bulk');
    n1.peers.send('n2', heartbeat(1));
    await heard;
    expect(n1.count('log', 'messages-dropped') + n1.count('disconnected')).toBe(0);
  });

  test('lets in nobody whom the control channel would refuse', async () => {
    let isKnown = true;
    const refusal = { code: 'STRANGER', detail: 'who are you?' };
    const n1 = await start('n1');
    const n2 = await start('n2', { admit: () => (isKnown ? null : refusal) });
    n1.peers.dial(n2.address);
    await Promise.all([n1.next('connected', 'n2'), n2.next('connected', 'n1')]);
    isKnown = false;
    n1.peers.send('n2', chunk(1), 'bulk');
    await n1.next('refused', n2.address);
    expect(n2.count('message')).toBe(0);
  });

  test('carries a snapshot of 8 MiB while control messages go on', { timeout: 60_000 }, async () => {
    const [n1, n2] = await pair();
    const data = createPrng(8).bytes(8 * 2 ** 20);
    const meta = { index: 20, term: 1, configuration: configurationOf(['n1', 'n2']) };
    const message = { type: 'snapshot', from: 'n1', to: 'n2', term: 1, snapshot: { meta, data } } as const;
    const send = (node: TestNode) => (to: NodeId, one: TransferMessage) => node.peers.send(to, one, channelOf(one));
    const sender = new SnapshotSender({ log: QUIET, send: send(n1), headway: () => {} });
    let complete: (message: RaftMessage) => void = () => {};
    let fail: (error: unknown) => void = () => {};
    const whole = new Promise<RaftMessage>((resolve, reject) => {
      complete = resolve;
      fail = reject;
    });
    const receiver = new SnapshotReceiver({
      ...{ id: 'n2', log: QUIET, send: send(n2) },
      standing: () => ({ term: 1, commit: 1 }),
      complete: (one) => complete(one),
    });
    sender.start(message, performance.now());
    const ticking = setInterval(() => sender.tick(performance.now()), 20);
    endings.push(() => clearInterval(ticking));
    let rounds = 0;
    let chunks = 0;
    const answer = async (): Promise<void> => {
      for (;;) {
        const { message: one } = await n2.next('message', 'n1');
        if (one?.type === 'snapshot-offer') receiver.offered('n1', one, performance.now());
        if (one?.type === 'heartbeat') n2.peers.send('n1', heartbeat(one.round));
        if (one?.type !== 'snapshot-chunk') continue;
        chunks += 1;
        receiver.received('n1', one, performance.now());
      }
    };
    const listen = async (): Promise<void> => {
      n1.peers.send('n2', heartbeat(0));
      for (;;) {
        const { message: one } = await n1.next('message', 'n2');
        if (one?.type === 'snapshot-ack') sender.acknowledged('n2', one, performance.now());
        if (one?.type !== 'heartbeat') continue;
        rounds += 1;
        n1.peers.send('n2', heartbeat(rounds));
      }
    };
    answer().catch(fail);
    listen().catch(fail);
    const received = await whole;
    if (received.type !== 'snapshot') throw new Error('another message');
    expect(Buffer.compare(received.snapshot.data, data)).toBe(0);
    expect(chunks).toBeGreaterThanOrEqual(data.length / SNAPSHOT_CHUNK_BYTES);
    // Each window of chunks took a round trip, and so did each heartbeat: they went side by side, however slow the machine.
    expect(rounds).toBeGreaterThanOrEqual(chunks / SNAPSHOT_WINDOW_CHUNKS / 2);
  });
});
